import RegionalRecord
import StrictJSON
import Testing

@testable import RecordSharing

@Suite struct ResourceRewriterTests {
    private static let patient = "6f0c4f1e-6d1f-4d53-9a44-1f3a5b8c9d10"

    private static func rewriter() throws -> ResourceRewriter {
        ResourceRewriter(
            alias: try #require(RecordAlias("0a1b2c3d")), patientID: "p1", patient: try #require(RegionID(patient)),
            holderBase: "http://r.example/t/h1/fhir")
    }

    private static let references: [(String, String?)] = [
        ("Patient/p1", "Patient/\(patient)"), ("http://r.example/t/h1/fhir/Patient/p1", "Patient/\(patient)"),
        ("Patient/p1/_history/3", "Patient/\(patient)"), ("Patient/p2", "Patient/0a1b2c3d.p2"),
        ("Encounter/e-1", "Encounter/0a1b2c3d.e-1"),
        ("http://r.example/t/h1/fhir/Observation/o/_history/2", "Observation/0a1b2c3d.o/_history/2"),
        ("http://r.example/t/h1/fhirs/Patient/p1", nil), ("http://r.example/t/h2/fhir/Patient/p1", nil),
        ("https://elsewhere.example/fhir/Patient/p1", nil), ("#p1", nil), ("urn:uuid:0", nil), ("Nonsense/p1", nil),
    ]

    @Test(arguments: references.indices)
    func `a reference leads to where the resource is outside of its holder`(_ index: Int) throws {
        let (reference, expected) = Self.references[index]
        #expect(try Self.rewriter().replacement(reference) == expected, "\(reference)")
    }

    @Test func `an attachment does not say whose Binary it is`() throws {
        let text =
            #"{"resourceType":"DocumentReference","content":[{"attachment":{"url":"URL"}}],"extension":[{"url":"BASE"}]}"#
            .replacing("BASE", with: "http://r.example/t/h1/fhir/StructureDefinition/x")
        for (url, expected) in [
            ("http://r.example/t/h1/fhir/Binary/1", "Binary/0a1b2c3d.1"), ("Binary/2", "Binary/0a1b2c3d.2"),
            ("https://elsewhere.example/Binary/1", "https://elsewhere.example/Binary/1"),
        ] {
            let bytes = Array(text.replacing("URL", with: url).utf8)
            let rewritten = String(decoding: try Self.rewriter().rewritten(bytes), as: UTF8.self)
            #expect(rewritten == text.replacing("URL", with: expected))
        }
    }

    @Test func `only the id and references change`() throws {
        let bytes = Array(
            #"""
            {"resourceType":"Observation","id":"o","meta":{"versionId":"1"}, "valueQuantity":{"value":1.00},
             "subject":{"reference":"Patient/p1","display":"Patient/p1"},"contained":[{"resourceType":"Patient","id":"o"}],
             "hasMember":[{"reference":"Observation/x"},{"reference":"#o"}],"note":[{"text":"reference: Patient/p1"}]}
            """#.utf8)
        let expected = String(decoding: bytes, as: UTF8.self)
            .replacing(#""id":"o","meta""#, with: #""id":"0a1b2c3d.o","meta""#)
            .replacing(#""reference":"Patient/p1""#, with: #""reference":"Patient/\#(Self.patient)""#)
            .replacing(#""Observation/x""#, with: #""Observation/0a1b2c3d.x""#)
        #expect(String(decoding: try Self.rewriter().rewritten(bytes), as: UTF8.self) == expected)
    }
}
