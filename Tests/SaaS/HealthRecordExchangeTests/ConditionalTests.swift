import ClinicalData
import CloudHTTP
import HTTPTypes
import StrictJSON
import Testing

struct ConditionalTests {
    @Test func `of 200 identical conditional creates exactly one creates`() async throws {
        try await RecordServer.with(maximumConnections: 8) { server async throws in
            let statuses = try await RecordServer.statuses(of: 200) {
                try await server.send(
                    .post, "Patient", RecordServer.patient("1"), [.ifNoneExist: "identifier=urn:mrn|1"])
            }
            #expect(statuses == [201: 1, 200: 199])
            #expect(try await server.count("fhir.resource") == 1)
        }
    }

    @Test func `parallel conditional updates make one resource`() async throws {
        try await RecordServer.with(maximumConnections: 8) { server async throws in
            let statuses = try await RecordServer.statuses(of: 24) {
                try await server.send(.put, "Patient?identifier=urn:mrn%7C1", RecordServer.patient("1"))
            }
            #expect(statuses == [201: 1, 200: 23])
        }
    }

    @Test func `criteria that match several are refused, that are wrong too`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.post, "Patient", RecordServer.patient("1"))
            _ = try await server.send(.post, "Patient", RecordServer.patient("1"))
            let criteria = "identifier=urn:mrn%7C1"
            #expect(
                try await server.send(.post, "Patient", RecordServer.patient("1"), [.ifNoneExist: criteria]).status
                    == 412)
            #expect(try await server.send(.put, "Patient?\(criteria)", RecordServer.patient("1")).status == 412)
            #expect(try await server.send(.delete, "Patient?\(criteria)").status == 412)
            #expect(
                try await server.send(.post, "Patient", RecordServer.patient("1"), [.ifNoneExist: "nope=1"]).status
                    == 400)
            #expect(try await server.count("fhir.resource where not deleted") == 2)
        }
    }

    @Test func `a conditional delete takes the one that matches`() async throws {
        try await RecordServer.with { server async throws in
            let id = try await server.send(.post, "Patient", RecordServer.patient("1")).id()
            #expect(try await server.send(.delete, "Patient?identifier=urn:mrn%7C1").status == 204)
            #expect(try await server.send(.get, "Patient/\(id)").status == 410)
            #expect(try await server.send(.delete, "Patient?identifier=urn:mrn%7C1").status == 204)
        }
    }

    @Test func `a conditional update refuses the id of another resource`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.post, "Patient", RecordServer.patient("1"))
            let other = RecordServer.patient("1", ",\"id\":\"other\"")
            #expect(try await server.send(.put, "Patient?identifier=urn:mrn%7C1", other).status == 400)
            let fresh = RecordServer.patient("2", ",\"id\":\"fresh\"")
            let created = try await server.send(.put, "Patient?identifier=urn:mrn%7C2", fresh)
            #expect(created.status == 201)
            #expect(try created.id() == "fresh")
        }
    }

    @Test func `if-match with a star writes what is there, whatever its version`() async throws {
        try await RecordServer.with { server async throws in
            let star = [HTTPField.Name.ifMatch: "*"]
            let body = RecordServer.patient("1", ",\"id\":\"a\"")
            _ = try await server.send(.put, "Patient/a", body)
            _ = try await server.send(.put, "Patient/a", body)
            #expect(try await server.send(.put, "Patient/a", body, star).status == 200)
            let patch = [HTTPField.Name.ifMatch: "*", .contentType: "application/json-patch+json"]
            let patched = try await server.send(
                .patch, "Patient/a", #"[{"op":"replace","path":"/gender","value":"male"}]"#, patch)
            #expect(patched.status == 200)
            #expect(try await server.send(.put, "Patient?identifier=urn:mrn%7C1", body, star).status == 200)
            #expect(try await server.send(.delete, "Patient/a", nil, star).status == 204)
            #expect(try await server.count("fhir.history") == 5)
        }
    }

    @Test func `if-match with a star writes nothing where there is nothing`() async throws {
        try await RecordServer.with { server async throws in
            let star = [HTTPField.Name.ifMatch: "*"]
            let body = RecordServer.patient("1", ",\"id\":\"a\"")
            #expect(try await server.send(.put, "Patient/a", body, star).status == 412)
            #expect(try await server.send(.delete, "Patient/a", nil, star).status == 412)
            #expect(try await server.send(.put, "Patient?identifier=urn:mrn%7C1", body, star).status == 412)
            #expect(try await server.send(.delete, "Patient?identifier=urn:mrn%7C1", nil, star).status == 412)
            // Without the condition a patch of nothing is 404 too (RFC 9110 §13.2.1).
            let patch = [HTTPField.Name.ifMatch: "*", .contentType: "application/json-patch+json"]
            #expect(try await server.send(.patch, "Patient/a", "[]", patch).status == 404)
            let bundle = RecordServer.bundle(
                "transaction", [RecordServer.entry("PUT", "Patient/a", body, #","ifMatch":"*""#)])
            #expect(try await server.send(.post, "", bundle).status == 412)
            #expect(try await server.count("fhir.resource") == 0)
            _ = try await server.send(.put, "Patient/a", body)
            _ = try await server.send(.delete, "Patient/a")
            #expect(try await server.send(.put, "Patient/a", body, star).status == 412)
            #expect(try await server.count("fhir.history") == 1)
        }
    }

    @Test func `an idempotency key gives the same answer again`() async throws {
        try await RecordServer.with { server async throws in
            let key = [HTTPField.Name.idempotencyKey: "k-1"]
            let first = try await server.send(.post, "Patient", RecordServer.patient("1"), key)
            let second = try await server.send(.post, "Patient", RecordServer.patient("1"), key)
            #expect(first.status == 201)
            #expect(second.status == 201)
            #expect(first.text == second.text)
            #expect(second.headers[HTTPField.Name("Idempotent-Replayed") ?? .trailer] == "true")
            for name in [HTTPField.Name.location, .eTag, .lastModified] {
                #expect(first.headers[name] == second.headers[name])
            }
            let other = try await server.send(.post, "Patient", RecordServer.patient("2"), key)
            #expect(other.status == 422)
            #expect(try await server.count("fhir.resource") == 1)
        }
    }

    @Test func `parallel requests with one key write once`() async throws {
        try await RecordServer.with(maximumConnections: 8) { server async throws in
            let statuses = try await RecordServer.statuses(of: 16) {
                try await server.send(.post, "Patient", RecordServer.patient("1"), [.idempotencyKey: "k"])
            }
            #expect(Set(statuses.keys).isSubset(of: [201, 409]))
            #expect(try await server.count("fhir.resource") == 1)
        }
    }

    @Test func `a refused request leaves its key free`() async throws {
        try await RecordServer.with { server async throws in
            let key = [HTTPField.Name.idempotencyKey: "k"]
            #expect(try await server.send(.post, "Patient", "{}", key).status == 400)
            #expect(try await server.send(.post, "Patient", RecordServer.patient("1"), key).status == 201)
        }
    }
}
