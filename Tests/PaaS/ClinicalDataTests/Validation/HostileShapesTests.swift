import Foundation
import StrictJSON
import Testing

@testable import ClinicalData

/// Resources in which one value has been put in the place of another.
@Suite struct HostileShapesTests {
    private static let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/selections.jsonl")

    private static let values = [
        "1", "-1e999", "\"x\"", "\"\"", "\"#\"", "\"Patient/1\"", "null", "true", "[]", "{}", "[{}]", "[null]",
        "[[\"x\"]]",
        "{\"a\":1}", "{\"coding\":{\"a\":1}}", "{\"extension\":{\"url\":1}}", "{\"reference\":\"//_history/\"}",
        "{\"reference\":\"#\",\"type\":[]}", "{\"value\":\"\\u0000x\"}", "[1,[2,[3]],{\"given\":[null,1]}]",
    ]

    @Test func `no shape of JSON stops validation or extraction`() throws {
        let r4 = Definitions.r4
        var random = SplitMix(state: 20_250_101)
        var examined = 0
        for line in try Data(contentsOf: Self.fixtures).split(separator: UInt8(ascii: "\n")) {
            let fixture = try JSONDocument(Array(line))
            let resource = try #require(fixture.root["resource"])
            let document = try JSONDocument(Array(resource.rawBytes))
            let type = try #require(document.root["resourceType"]?.string.flatMap(ResourceType.named))
            var nodes: [JSONNode] = []
            collect(document.root, &nodes)
            for _ in 0..<8 {
                let node = nodes[Int(random.next() % UInt64(nodes.count))]
                let value = Self.values[Int(random.next() % UInt64(Self.values.count))]
                var splice = JSONSplice(document)
                splice.replace(node, with: Array(value.utf8))
                // U+0000 is refused by the scanner already.
                guard let changed = try? JSONDocument(splice.apply()) else { continue }
                let issues = r4.validate(document: changed, type: type)
                let rows = r4.extract(document: changed, type: type, baseURL: "http://own/fhir")
                #expect(issues.allSatisfy { $0.expression.hasPrefix(type.name) })
                #expect(rows.hash != 0)
                examined += 1
            }
        }
        #expect(examined > 2500)
    }

    private func collect(_ node: JSONNode, _ nodes: inout [JSONNode]) {
        nodes.append(node)
        for member in node.members { collect(member.value, &nodes) }
        for element in node.elements { collect(element, &nodes) }
    }
}

/// A small generator, the same in every run.
private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
