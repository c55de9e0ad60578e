import Foundation
import StrictJSON
import Testing

@testable import ClinicalData

/// The verdict of an independent FHIRPath engine on what each search parameter selects (`ops/definitions/judge.py`).
@Suite struct SelectionTests {
    private static let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/selections.jsonl")

    /// FNV-1a over the sorted texts, each followed by a line feed.
    private func checksum(_ texts: [String]) -> String {
        var value: UInt64 = 0xCBF2_9CE4_8422_2325
        for text in texts.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
            for byte in Array(text.utf8) + [0x0A] { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
        }
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    @Test func `every parameter selects what fhirpathpy selects`() throws {
        let r4 = Definitions.r4
        var selecting: Set<Int32> = []
        var judged = 0
        for line in try Data(contentsOf: Self.fixtures).split(separator: UInt8(ascii: "\n")) {
            let document = try JSONDocument(Array(line))
            let resource = try #require(document.root["resource"])
            let verdicts = try #require(document.root["selected"])
            let name = try #require(resource["resourceType"]?.string)
            let type = try #require(ResourceType.named(name))
            document.withTape { tape in
                let none = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
                var extractor = IndexExtractor(definitions: r4, tape: tape, root: resource.index, base: none)
                for parameter in r4.parameters(of: type) {
                    let found = extractor.selection(parameter)
                    let verdict = verdicts[parameter.code].map { Array($0.elements) } ?? []
                    let count = verdict.first?.integer ?? 0
                    let isSame = found.count == count && (count == 0 || verdict[1].stringIs(checksum(found)))
                    #expect(isSame, "\(name) \(parameter.code) selects \(found), not \(count) values")
                    if !found.isEmpty { selecting.insert(parameter.id) }
                    judged += 1
                }
            }
        }
        #expect(selecting.count == r4.types.reduce(0) { $0 + r4.parameters(of: $1).count })
        #expect(judged > 5000)
    }
}
