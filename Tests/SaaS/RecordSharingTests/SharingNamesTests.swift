import ClinicalData
import CloudHTTP
import HTTPTypes
import RegionalRecord
import Testing

@testable import RecordSharing

@Suite struct SharingNamesTests {
    @Test func `a shared id is an alias, a dot and an id`() throws {
        let id = try #require(SharedID("0a1b2c3d.a.b-1"))
        #expect(id.alias.text == "0a1b2c3d" && id.localID == "a.b-1" && id.text == "0a1b2c3d.a.b-1")
        for text in ["0a1b2c3d", "0a1b2c3d.", ".x", "0A1B2C3D.x", "0a1b2c3.x", "0a1b2c3d.x/y", "0a1b2c3d._", ""] {
            #expect(SharedID(text) == nil, "\(text)")
        }
        let alias = id.alias
        #expect(SharedID(alias, String(repeating: "x", count: 55)).isWritable)
        #expect(!SharedID(alias, String(repeating: "x", count: 56)).isWritable)
    }

    @Test func `a cursor is for its subject, and no byte of it can be changed`() throws {
        let cursors = SharingCursor(key: Array(repeating: 1, count: 32))
        let text = cursors.text("0a1b2c3d:place", for: "h2\nclient\nObservation\n_count=1")
        #expect(cursors.position(text, for: "h2\nclient\nObservation\n_count=1") == "0a1b2c3d:place")
        for subject in ["h2\nclient\nObservation\n_count=2", "h2\nother\nObservation\n_count=1", ""] {
            #expect(cursors.position(text, for: subject) == nil)
        }
        for index in text.indices {
            var changed = Array(text)
            let place = text.distance(from: text.startIndex, to: index)
            changed[place] = changed[place] == "A" ? "B" : "A"
            #expect(cursors.position(String(changed), for: "h2\nclient\nObservation\n_count=1") == nil)
        }
        #expect(SharingCursor(key: Array(repeating: 2, count: 32)).position(text, for: "x") == nil)
    }

    private static let id = "6f0c4f1e-6d1f-4d53-9a44-1f3a5b8c9d10"

    @Test(arguments: [
        "", "Nonsense", "Patient/p1", "Patient/\(id.uppercased())", "Patient/\(id)/_history",
        "Patient/\(id)/Observation",
        "Observation/\(id)", "Observation/o", "AuditEvent/audit-1", "_history", "metadata/x", "Consent/c1",
        "Observation/0a1b2c3d.x/_history/1/2",
    ])
    func `what is not served is the one 404`(_ path: String) {
        #expect(throws: Problem.nothingShared) {
            try SharingInteraction(.get, path: path.split(separator: "/").map(String.init))
        }
    }

    @Test(arguments: ["Patient", "Observation", "Consent", "Flag", "AuditEvent"])
    func `a search may be a form, and a form is posted`(_ type: String) throws {
        let path = [type, "_search"]
        #expect(try SharingInteraction(.post, path: path) == SharingInteraction(.get, path: [type]))
        #expect(SharingInteraction.isForm(.post, path: path) && !SharingInteraction.isForm(.post, path: [type]))
        for method in [HTTPRequest.Method.get, .put] {
            #expect { try SharingInteraction(method, path: path) } throws: {
                ($0 as? Problem)?.code == .methodNotAllowed && ($0 as? Problem)?.allow == ["POST"]
            }
        }
    }

    @Test func `each path is understood, and other methods are refused`() throws {
        let region = try #require(RegionID(Self.id))
        #expect(try SharingInteraction(.get, path: ["Patient", Self.id]) == .readPatient(region))
        #expect(try SharingInteraction(.get, path: ["Patient", Self.id, "$everything"]) == .everything(region))
        #expect(try SharingInteraction(.put, path: ["Consent", Self.id]) == .updateConsent(region))
        guard case .read(let type, _) = try SharingInteraction(.get, path: ["Consent", "0a1b2c3d.c"]) else {
            Issue.record("a holder's Consent is a resource like others")
            return
        }
        #expect(type.name == "Consent")
        #expect(try SharingInteraction(.get, path: ["Flag"]) == .searchFlags)
        #expect(try SharingInteraction(.put, path: ["Flag", Self.id]) == .updateFlag(region))
        guard case .read = try SharingInteraction(.get, path: ["Flag", "0a1b2c3d.f"]) else {
            Issue.record("a holder's Flag is a resource like others")
            return
        }
        for (method, path) in [
            (HTTPRequest.Method.delete, ["Consent", Self.id]), (.delete, ["Flag", Self.id]), (.post, ["Observation"]),
            (.put, ["Patient", Self.id]),
            (.post, ["Patient", Self.id, "$everything"]),
        ] {
            #expect {
                try SharingInteraction(method, path: path)
            } throws: {
                ($0 as? Problem)?.code == .methodNotAllowed
            }
        }
    }
}
