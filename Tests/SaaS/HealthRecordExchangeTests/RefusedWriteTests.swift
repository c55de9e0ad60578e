import ClinicalData
import CloudHTTP
import HTTPTypes
import StrictJSON
import Testing

/// Writes that are understood and refused.
struct RefusedWriteTests {
    @Test(arguments: [
        (HTTPRequest.Method.put, "Patient/a?foo=1"), (.put, "Patient/a?_summary=true"), (.patch, "Patient/a?foo=1"),
        (.delete, "Patient/a?foo=1"),
    ])
    func `a write of one resource has no other parameters`(
        _ method: HTTPRequest.Method, _ target: String
    ) async throws {
        try await RecordServer.with { server async throws in
            let stored = RecordServer.patient("1", #","id":"a""#)
            _ = try await server.send(.put, "Patient/a", stored)
            let body = method == .delete ? nil : method == .put ? stored : "[]"
            let type = method == .patch ? "application/json-patch+json" : "application/fhir+json"
            let name = target.split(separator: "?")[1].split(separator: "=")[0]
            let refused = try await server.send(method, target, body, [.contentType: type])
            #expect(refused.status == 400)
            #expect(refused.text.contains(name))
            let bundle = RecordServer.bundle(
                "transaction",
                [
                    method == .delete
                        ? RecordServer.entry("DELETE", target)
                        : RecordServer.entry("PUT", "Patient/a?foo=1", stored)
                ])
            let entry = try await server.send(.post, "", bundle)
            #expect(entry.status == 400)
            #expect(entry.text.contains("Bundle.entry[0].request.url"))
            let lenient = try await server.send(
                method, target, body, [.contentType: type, .prefer: "handling=lenient"])
            #expect(lenient.status < 300)
            let format = try await server.send(.put, "Patient/a?_format=json&_pretty=true", stored)
            #expect(format.status < 300)
        }
    }

    @Test func `members that no entry has are refused, those of other bundles are not`() async throws {
        try await RecordServer.with { server async throws in
            let request = #""request":{"method":"POST","url":"Patient"}"#
            let resource = #""resource":\#(RecordServer.patient("1"))"#
            func answer(_ entry: String) async throws -> RecordServer.Answer {
                try await server.send(.post, "", RecordServer.bundle("transaction", ["{\(entry)}"]))
            }
            let unknown = try await answer(#"\#(resource),\#(request),"foo":1"#)
            #expect(unknown.status == 400)
            #expect(unknown.text.contains(#""Bundle.entry[0].foo""#))
            let nested = try await answer(
                #"\#(resource),"request":{"method":"POST","url":"Patient","ifUnmodifiedSince":"x"}"#)
            #expect(nested.status == 400)
            #expect(nested.text.contains(#""Bundle.entry[0].request.ifUnmodifiedSince""#))
            let known = try await answer(
                #"\#(resource),\#(request),"search":{"mode":"match"},"response":{"status":"200"},"id":"e","link":[]"#)
            #expect(known.status == 200)
            #expect(try await server.count("fhir.resource") == 1)
        }
    }

    private static func statuses(_ history: RecordServer.Answer) throws -> [String] {
        let entries = try #require(try history.json()["entry"])
        return entries.elements.compactMap { $0["response"]?["status"]?.string }
    }

    @Test func `a version after a deletion was a creation`() async throws {
        try await RecordServer.with { server async throws in
            let body = RecordServer.patient("1", #","id":"a""#)
            _ = try await server.send(.put, "Patient/a", body)
            _ = try await server.send(.delete, "Patient/a")
            #expect(try await server.send(.put, "Patient/a", body).status == 201)
            #expect(try await server.send(.put, "Patient/a", body).status == 200)
            for target in [
                "Patient/a/_history", "Patient/_history", "_history", "Patient/a/_history?_since=2020-01-01T00:00:00Z",
                "_history?_since=2020-01-01T00:00:00Z",
            ] {
                let statuses = try Self.statuses(try await server.send(.get, target))
                #expect(statuses == ["200 OK", "201 Created", "204 No Content", "201 Created"], "\(target)")
            }
            let page = try Self.statuses(try await server.send(.get, "Patient/_history?_count=2"))
            #expect(page == ["200 OK", "201 Created"])
        }
    }

    @Test func `refused writes are audited`() async throws {
        try await RecordServer.with { server async throws in
            let body = RecordServer.patient("1", #","id":"a""#)
            _ = try await server.send(.put, "Patient/a", body)
            _ = try await server.send(.post, "Patient", RecordServer.patient("1"))
            var refused = 0
            func expectRefusal(
                _ status: Int, _ interaction: AuditInteraction, _ id: String?, _ answer: RecordServer.Answer
            ) async throws {
                refused += 1
                #expect(answer.status == status)
                let rows = try await server.audit().filter { $0.outcome == AuditOutcome.minorFailure.rawValue }
                #expect(rows.count == refused)
                #expect(rows.last?.interaction == interaction)
                #expect(rows.last?.resourceID == id)
            }
            try await expectRefusal(
                412, .update, "a", try await server.send(.put, "Patient/a", body, [.ifMatch: "W/\"9\""]))
            try await expectRefusal(
                412, .create, nil,
                try await server.send(.post, "Patient", body, [.ifNoneExist: "identifier=urn:mrn|1"]))
            try await expectRefusal(
                422, .create, nil,
                try await server.send(.post, "Patient", #"{"resourceType":"Patient","gender":"nonsense"}"#))
            let patch = [HTTPField.Name.contentType: "application/json-patch+json"]
            try await expectRefusal(
                422, .patch, "a",
                try await server.send(.patch, "Patient/a", #"[{"op":"remove","path":"/nothing"}]"#, patch))
            let reference = """
                {"resourceType":"Basic","code":{"text":"x"},"subject":{"reference":"Patient?identifier=urn:mrn|none"}}
                """
            let bundle = RecordServer.bundle(
                "transaction",
                [RecordServer.entry("PUT", "Patient/a", body), RecordServer.entry("POST", "Basic", reference)])
            try await expectRefusal(412, .create, nil, try await server.send(.post, "", bundle))
            #expect(try await server.audit().last?.type?.name == "Basic")
        }
    }
}
