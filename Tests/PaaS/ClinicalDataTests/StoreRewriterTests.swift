import ClinicalData
import StrictJSON
import Testing

struct StoreRewriterTests {
    private func rewritten(_ text: String, _ links: [String: String]) throws -> String {
        let document = try JSONDocument(Array(text.utf8))
        let edits = ReferenceRewriter(links: links).edits(in: document)
        return String(decoding: ResourceBytes.stored(document, id: "1", edits: edits) ?? document.bytes, as: UTF8.self)
    }

    private let links = ["urn:uuid:a": "Patient/7", "Patient?identifier=x": "Patient/8"]
    private let head = #"{"resourceType":"X","id":"1","meta":{},"#

    @Test(arguments: [
        (#""subject":{"reference":"urn:uuid:a"}}"#, #""subject":{"reference":"Patient/7"}}"#),
        (#""subject":{"reference":"Patient?identifier=x"}}"#, #""subject":{"reference":"Patient/8"}}"#),
        (#""subject":{"reference":"urn:uuid:a#part"}}"#, #""subject":{"reference":"Patient/7#part"}}"#),
        (#""content":[{"attachment":{"url":"urn:uuid:a"}}]}"#, #""content":[{"attachment":{"url":"Patient/7"}}]}"#),
        (#""instantiatesUri":["urn:uuid:a","urn:b"]}"#, #""instantiatesUri":["Patient/7","urn:b"]}"#),
        (
            #""text":{"div":"<div><a href=\"urn:uuid:a\">p</a></div>"}}"#,
            #""text":{"div":"<div><a href=\"Patient/7\">p</a></div>"}}"#
        ),
        (#""identifier":[{"system":"urn:ietf:rfc:3986","value":"urn:uuid:a"}]}"#, nil),
        (#""subject":{"reference":"urn:uuid:b"}}"#, nil),
        (#""text":{"div":"<div>urn:uuid:a \"</div>"}}"#, nil),
    ])
    func `temporary links are replaced, names are not`(_ sent: String, _ expected: String?) throws {
        #expect(try rewritten(head + sent, links) == head + (expected ?? sent))
    }

    @Test(arguments: [
        (#""subject":{"reference":"urn:uuid:b"}}"#, "urn:uuid:b"),
        (#""a":[{"b":{"reference":"urn:oid:1.2"}}]}"#, "urn:oid:1.2"),
        (#""subject":{"reference":"urn:uuid:a"}}"#, nil), (#""subject":{"reference":"urn:uuid:a#part"}}"#, nil),
        (#""url":"urn:uuid:b","identifier":[{"value":"urn:uuid:c"}]}"#, nil),
        (#""subject":{"reference":"Patient/1"}}"#, nil),
    ])
    func `a reference that leads nowhere is told from others`(_ sent: String, _ expected: String?) throws {
        let document = try JSONDocument(Array((head + sent).utf8))
        #expect(ReferenceRewriter(links: links).unresolved(in: document) == expected)
    }

    @Test func `conditional references are found wherever references are`() throws {
        let text =
            #"{"a":{"reference":"Patient?identifier=x"},"b":[{"c":{"reference":"Practitioner?identifier=y"}}],"d":{"reference":"Nothing?x=1"},"e":{"reference":"Patient/1"}}"#
        let found = ReferenceRewriter.conditionalReferences(in: try JSONDocument(Array(text.utf8)))
        #expect(found == ["Patient?identifier=x", "Practitioner?identifier=y"])
    }
}
