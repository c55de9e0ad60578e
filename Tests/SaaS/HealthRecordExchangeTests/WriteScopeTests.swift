import ClinicalData
import CloudHTTP
import HTTPTypes
import Testing

/// What a token of few scopes learns and does by writing.
struct WriteScopeTests {
    private static let jsonPatch = [HTTPField.Name.contentType: "application/json-patch+json"]
    private static let criteria = "Patient?identifier=urn:mrn%7C1"

    private static func basic(_ reference: String) -> String {
        """
        {"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"urn:x","valueReference":\
        {"reference":"\(reference)"}}]}
        """
    }

    @Test(arguments: ["1", "none"])
    func `a conditional reference needs the right to search what it refers to`(_ value: String) async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.post, "Patient", RecordServer.patient("1"))
            let reference = "Patient?identifier=urn:mrn|\(value)"
            let bundle = RecordServer.bundle(
                "transaction",
                [
                    RecordServer.entry("POST", "Basic", Self.basic("Patient/a")),
                    RecordServer.entry("POST", "Basic", Self.basic(reference)),
                ])
            let refused = try await server.send(.post, "", bundle, scope: "system/Basic.c system/Patient.r")
            #expect(refused.status == 403)
            #expect(refused.text.contains("search Patient"))
            #expect(refused.text.contains(#""expression":["Bundle.entry[1]"]"#))
            #expect(try await server.count("fhir.resource") == 1)
            #expect(try await server.audit().last?.outcome == AuditOutcome.minorFailure.rawValue)
            let allowed = try await server.send(.post, "", bundle, scope: "system/Basic.c system/Patient.s")
            #expect(allowed.status == (value == "1" ? 200 : 412))
        }
    }

    @Test(arguments: ["1", "none"])
    func `a conditional write needs the right to search`(_ value: String) async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.post, "Patient", RecordServer.patient("1"))
            let target = "Patient?identifier=urn:mrn%7C\(value)"
            let body = RecordServer.patient(value)
            let header = [HTTPField.Name.ifNoneExist: "identifier=urn:mrn|\(value)"]
            let answers = [
                try await server.send(.post, "Patient", body, header, scope: "system/Patient.cr"),
                try await server.send(.post, target, body, scope: "system/Patient.c"),
                try await server.send(.put, target, body, scope: "system/Patient.cu"),
                try await server.send(.patch, target, "[]", Self.jsonPatch, scope: "system/Patient.ru"),
                try await server.send(.delete, target, scope: "system/Patient.d"),
                try await server.send(
                    .post, "",
                    RecordServer.bundle(
                        "transaction",
                        [
                            RecordServer.entry("POST", "Patient", body),
                            RecordServer.entry("PUT", target, body),
                        ]), scope: "system/Patient.cu"),
            ]
            for answer in answers {
                #expect(answer.status == 403)
                #expect(answer.text.contains("search Patient"))
                #expect(answer.headers[.wwwAuthenticate]?.contains(#"error="insufficient_scope""#) == true)
            }
            #expect(try await server.count("fhir.history") == 0)
            #expect(try await server.count("fhir.resource") == 1)
        }
    }

    @Test func `what a token may not read is not in the answer to its write`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.put, "Patient/a", RecordServer.patient("1", #","id":"a""#))
            let prefer = [HTTPField.Name.prefer: "return=representation"]
            let patch = Self.jsonPatch.merging(prefer) { $1 }
            let data = "W10="
            let binary = #"{"resourceType":"Binary","contentType":"application/json-patch+json","data":"\#(data)"}"#
            let body = RecordServer.patient("1", #","id":"a""#)
            let update = "system/Patient.us"
            let answers = [
                try await server.send(.patch, "Patient/a", "[]", Self.jsonPatch, scope: "system/Patient.u"),
                try await server.send(.patch, "Patient/a", "[]", patch, scope: "system/Patient.u"),
                try await server.send(.patch, Self.criteria, "[]", patch, scope: update),
                try await server.send(.put, "Patient/a", body, prefer, scope: update),
                try await server.send(
                    .post, "",
                    RecordServer.bundle("transaction", [RecordServer.entry("PATCH", "Patient/a", binary)]), prefer,
                    scope: update),
                try await server.send(
                    .post, "", RecordServer.bundle("batch", [RecordServer.entry("PATCH", "Patient/a", binary)]), prefer,
                    scope: update),
            ]
            for answer in answers {
                #expect(answer.status == 200)
                #expect(!answer.text.contains("female"))
            }
            #expect(answers[0].tag == "W/\"2\"")
            let whole = try await server.send(.patch, "Patient/a", "[]", patch, scope: "system/Patient.ru")
            #expect(whole.text.contains("female"))
        }
    }

    @Test func `a test within a patch needs the right to read`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.put, "Patient/a", RecordServer.patient("1", #","id":"a""#))
            for gender in ["female", "male"] {
                let patch = #"[{"op":"test","path":"/gender","value":"\#(gender)"}]"#
                let refused = try await server.send(
                    .patch, "Patient/a", patch, Self.jsonPatch, scope: "system/Patient.u")
                #expect(refused.status == 403)
                #expect(refused.text.contains("read Patient"))
            }
            #expect(try await server.count("fhir.history") == 0)
        }
    }

    @Test func `a scope that is missing is named in a challenge`() async throws {
        try await RecordServer.with { server async throws in
            let challenge = #"Bearer realm="medcloud", error="insufficient_scope""#
            let scope = "system/Observation.cruds"
            let write = try await server.send(.post, "Patient", RecordServer.patient("1"), scope: scope)
            let read = try await server.send(.get, "Patient/a", scope: scope)
            let chain = try await server.send(.get, "Observation?subject:Patient.name=x", scope: scope)
            for answer in [write, read, chain] {
                #expect(answer.status == 403)
                #expect(answer.headers[.wwwAuthenticate] == challenge)
            }
        }
    }
}
