import CloudHTTP
import HTTPTypes
import Testing

/// Conditions of RFC 9110 §13 on what is written, and on what is read.
struct PreconditionTests {
    private static let past = "Sun, 06 Nov 1994 08:49:37 GMT"
    private static let future = "Fri, 06 Nov 2893 08:49:37 GMT"
    private static let body = RecordServer.patient("1", #","id":"a""#)
    private static let jsonPatch = "application/json-patch+json"
    private static let criteria = "Patient?identifier=urn:mrn%7C1"

    /// A write of each kind, with what it answers when its condition is true.
    private static func writes(
        _ server: RecordServer, _ headers: [HTTPField.Name: String]
    ) async throws -> [Int] {
        let patch = headers.merging([.contentType: Self.jsonPatch]) { $1 }
        return [
            try await server.send(.put, "Patient/a", body, headers).status,
            try await server.send(.put, criteria, body, headers).status,
            try await server.send(.patch, "Patient/a", "[]", patch).status,
            try await server.send(.patch, criteria, "[]", patch).status,
            try await server.send(.delete, criteria, nil, headers).status,
            try await server.send(.put, "Patient/a", body).status,
            try await server.send(.delete, "Patient/a", nil, headers).status,
        ]
    }

    @Test func `if-unmodified-since lets pass what has not changed`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.put, "Patient/a", Self.body)
            let stale = try await Self.writes(server, [.ifUnmodifiedSince: Self.past])
            #expect(stale == [412, 412, 412, 412, 412, 200, 412])
            #expect(try await server.count("fhir.history") == 1)
            let date = try #require(try await server.send(.get, "Patient/a").headers[.lastModified])
            #expect(try await server.send(.put, "Patient/a", Self.body, [.ifUnmodifiedSince: date]).status == 200)
            let statuses = try await Self.writes(server, [.ifUnmodifiedSince: Self.future])
            #expect(statuses == [200, 200, 200, 200, 204, 201, 204])
        }
    }

    @Test func `if-unmodified-since counts for nothing beside if-match, without a date and without a resource`()
        async throws
    {
        try await RecordServer.with { server async throws in
            #expect(try await server.send(.put, "Patient/a", Self.body, [.ifUnmodifiedSince: Self.past]).status == 201)
            for match in ["W/\"1\"", "*"] {
                let headers = [HTTPField.Name.ifMatch: match, .ifUnmodifiedSince: Self.past]
                #expect(try await server.send(.put, "Patient/a", Self.body, headers).status == 200)
            }
            #expect(try await server.send(.put, "Patient/a", Self.body, [.ifUnmodifiedSince: "then"]).status == 200)
            _ = try await server.send(.delete, "Patient/a")
            #expect(try await server.send(.put, "Patient/a", Self.body, [.ifUnmodifiedSince: Self.past]).status == 201)
        }
    }

    @Test func `if-none-match with a star writes nothing where there is something`() async throws {
        try await RecordServer.with { server async throws in
            let star = [HTTPField.Name.ifNoneMatch: "*"]
            #expect(try await server.send(.delete, "Patient/a", nil, star).status == 204)
            let patch = [HTTPField.Name.ifNoneMatch: "*", .contentType: Self.jsonPatch]
            #expect(try await server.send(.patch, "Patient/a", "[]", patch).status == 404)
            _ = try await server.send(.put, "Patient/a", Self.body)
            let statuses = try await Self.writes(server, star)
            #expect(statuses == [412, 412, 412, 412, 412, 200, 412])
            let bundle = RecordServer.bundle(
                "transaction", [RecordServer.entry("DELETE", "Patient/a", nil, #","ifNoneMatch":"*""#)])
            #expect(try await server.send(.post, "", bundle).status == 412)
            #expect(try await server.count("fhir.history") == 1)
        }
    }

    @Test func `if-none-exist is of creates only`() async throws {
        try await RecordServer.with { server async throws in
            let headers = [HTTPField.Name.ifNoneExist: "identifier=urn:mrn|1"]
            for answer in [
                try await server.send(.put, "Patient/a", Self.body, headers),
                try await server.send(.put, Self.criteria, Self.body, headers),
                try await server.send(.delete, "Patient/a", nil, headers),
            ] {
                #expect(answer.status == 400)
                #expect(answer.text.contains("If-None-Exist"))
            }
            let bundle = RecordServer.bundle(
                "transaction",
                [RecordServer.entry("PUT", "Patient/a", Self.body, #","ifNoneExist":"identifier=urn:mrn|1""#)])
            let refused = try await server.send(.post, "", bundle)
            #expect(refused.status == 400)
            #expect(refused.text.contains("Bundle.entry[0].request.ifNoneExist"))
            #expect(try await server.count("fhir.resource") == 0)
        }
    }

    @Test func `a read with if-match answers with that version or not at all`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.put, "Patient/a", Self.body)
            _ = try await server.send(.put, "Patient/a", Self.body)
            func status(_ target: String, _ match: String, _ more: [HTTPField.Name: String] = [:]) async throws -> Int {
                try await server.send(.get, target, nil, more.merging([.ifMatch: match]) { $1 }).status
            }
            #expect(try await status("Patient/a", "W/\"2\"") == 200)
            #expect(try await status("Patient/a", "W/\"1\"") == 412)
            #expect(try await status("Patient/a", "W/\"1\", W/\"2\"") == 200)
            #expect(try await status("Patient/a", "*") == 200)
            #expect(try await status("Patient/a", "nonsense") == 400)
            #expect(try await status("Patient/a/_history/1", "W/\"1\"") == 200)
            #expect(try await status("Patient/a", "W/\"1\"", [.ifNoneMatch: "W/\"2\""]) == 412)
            #expect(
                try await server.send(.get, "Patient/a", nil, [.ifUnmodifiedSince: Self.past]).status == 412)
            let batch = RecordServer.bundle(
                "batch", [RecordServer.entry("GET", "Patient/a", nil, #","ifMatch":"W/\"1\"""#)])
            #expect(try await server.send(.post, "", batch).text.contains("412"))
        }
    }

    @Test func `a patch of another version is refused before it is applied`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.put, "Patient/a", Self.body)
            _ = try await server.send(.put, "Patient/a", Self.body)
            let patch = #"[{"op":"remove","path":"/nothing"}]"#
            for match in ["W/\"1\"", "W/\"3\""] {
                let refused = try await server.send(
                    .patch, "Patient/a", patch, [.ifMatch: match, .contentType: Self.jsonPatch])
                #expect(refused.status == 412)
                #expect(refused.tag == "W/\"2\"")
            }
            let fitting = try await server.send(
                .patch, "Patient/a", patch, [.ifMatch: "W/\"2\"", .contentType: Self.jsonPatch])
            #expect(fitting.status == 422)
        }
    }
}
