import ClinicalData
import CloudHTTP
import HTTPTypes
import StrictJSON
import Testing

struct BundleInteractionTests {
    private func statuses(_ answer: RecordServer.Answer) throws -> [String] {
        (try answer.json()["entry"].map { Array($0.elements) } ?? [])
            .map { String(($0["response"]?["status"]?.string ?? "").prefix(3)) }
    }

    @Test func `a transaction resolves references between its entries and to what is stored`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(
                .put, "Organization/o",
                #"{"resourceType":"Organization","id":"o","identifier":[{"system":"urn:o","value":"1"}],"name":"O"}"#)
            let observation =
                #"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:p"},"performer":[{"reference":"Organization?identifier=urn:o|1"}]}"#
            let bundle = RecordServer.bundle(
                "transaction",
                [
                    RecordServer.entry("POST", "Observation", observation),
                    #"{"fullUrl":"urn:uuid:p",\#(RecordServer.entry("POST", "Patient", RecordServer.patient("1"), #","ifNoneExist":"identifier=urn:mrn|1""#).dropFirst())"#,
                    RecordServer.entry("GET", "Organization/o"),
                    RecordServer.entry("GET", "Patient?identifier=urn:mrn%7C1"),
                ])
            let answer = try await server.send(.post, "", bundle)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(try statuses(answer) == ["201", "201", "200", "200"])
            let entries = Array(try #require(try answer.json()["entry"]).elements)
            let person = entries[1]["response"]?["location"]?.string?.split(separator: "/_history").first ?? ""
            let location = entries[0]["response"]?["location"]?.string ?? ""
            let stored = try await server.send(.get, String(location.split(separator: "/_history")[0]))
            #expect(try stored.json()["subject"]?["reference"]?.string == String(person))
            #expect(stored.text.contains(#""reference":"Organization/o""#))
            #expect(entries[3]["resource"]?["entry"]?.count == 1)
            let again = try await server.send(.post, "", bundle)
            #expect(try statuses(again) == ["201", "200", "200", "200"])
        }
    }

    @Test(arguments: [
        RecordServer.entry("POST", "Patient", #"{"resourceType":"Patient","gender":"wrong"}"#),
        RecordServer.entry(
            "PUT", "Patient/absent", #"{"resourceType":"Patient","id":"absent"}"#, #","ifMatch":"W/\"4\"""#),
        RecordServer.entry("GET", "Patient/absent"), RecordServer.entry("GET", "Patient?nonsense=1"),
        RecordServer.entry("POST", "Observation", #"{"resourceType":"Observation"}"#),
        RecordServer.entry("POST", "AuditEvent", #"{"resourceType":"AuditEvent"}"#),
        RecordServer.entry("GET", "https://elsewhere.example/Patient/1"), #"{"request":{"method":"POST"}}"#, "{}",
        RecordServer.entry(
            "POST", "Observation",
            #"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?identifier=no"}}"#
        ),
    ])
    func `a transaction is all or nothing and names the entry`(_ bad: String) async throws {
        try await RecordServer.with { server async throws in
            let good = RecordServer.entry("POST", "Patient", RecordServer.patient("1"))
            let answer = try await server.send(.post, "", RecordServer.bundle("transaction", [good, bad]))
            #expect((400..<500).contains(answer.status), "\(answer.status) \(answer.text)")
            #expect(try answer.json()["resourceType"]?.string == "OperationOutcome")
            #expect(answer.text.contains("entry[1]") || answer.text.contains("identifier=no"), "\(answer.text)")
            #expect(try await server.count("fhir.resource") == 0)
            #expect(try await server.count("audit.event where outcome = 0") == 0)
        }
    }

    @Test func `identities that overlap are refused`() async throws {
        try await RecordServer.with { server async throws in
            let put = RecordServer.entry("PUT", "Patient/a", #"{"resourceType":"Patient","id":"a"}"#)
            #expect(try await server.send(.post, "", RecordServer.bundle("transaction", [put, put])).status == 400)
            let upsert = RecordServer.entry("PUT", "Patient?identifier=urn:mrn|1", RecordServer.patient("1"))
            #expect(
                try await server.send(.post, "", RecordServer.bundle("transaction", [upsert, upsert])).status == 400)
            #expect(try await server.count("fhir.resource") == 0)
        }
    }

    @Test func `a batch answers each entry by itself`() async throws {
        try await RecordServer.with { server async throws in
            let answer = try await server.send(
                .post, "",
                RecordServer.bundle(
                    "batch",
                    [
                        RecordServer.entry("POST", "Patient", RecordServer.patient("1")),
                        RecordServer.entry("POST", "Patient", #"{"resourceType":"Patient","nope":1}"#),
                        RecordServer.entry("GET", "Patient/never"), RecordServer.entry("GET", "Patient?nonsense=1"),
                        RecordServer.entry("PUT", "Patient/b", #"{"resourceType":"Patient","id":"b"}"#),
                        RecordServer.entry("DELETE", "Patient/never"),
                        RecordServer.entry("GET", "Patient?gender=female"),
                    ]))
            #expect(answer.status == 200)
            #expect(try statuses(answer) == ["201", "400", "404", "400", "201", "204", "200"])
            let entries = Array(try #require(try answer.json()["entry"]).elements)
            for index in [1, 2, 3] {
                #expect(entries[index]["response"]?["outcome"]?["resourceType"]?.string == "OperationOutcome")
            }
        }
    }

    @Test func `patches travel as Binary`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.put, "Patient/a", RecordServer.patient("1", ",\"id\":\"a\""))
            let data = "W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9nZW5kZXIiLCJ2YWx1ZSI6Im1hbGUifV0="
            let patch =
                #"{"resourceType":"Binary","contentType":"application/json-patch+json","data":"\#(data)"}"#
            let answer = try await server.send(
                .post, "", RecordServer.bundle("transaction", [RecordServer.entry("PATCH", "Patient/a", patch)]))
            #expect(answer.status == 200, "\(answer.text)")
            #expect(try await server.send(.get, "Patient/a").json()["gender"]?.string == "male")
        }
    }

    @Test func `a transaction of thousands is one commit, and idempotent with a key`() async throws {
        try await RecordServer.with { server async throws in
            let observation =
                #"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"urn:c","code":"c"}]}}"#
            let bundle = RecordServer.bundle(
                "transaction",
                [String](repeating: RecordServer.entry("POST", "Observation", observation), count: 2000))
            let first = try await server.send(.post, "", bundle, [.idempotencyKey: "k"])
            #expect(first.status == 200)
            let second = try await server.send(.post, "", bundle, [.idempotencyKey: "k"])
            #expect(first.text == second.text)
            #expect(try await server.count("fhir.resource") == 2000)
            #expect(try await server.count("audit.event where action = 'C'") == 2000)
        }
    }

    @Test(arguments: ["collection", "document", "history", "searchset", "nonsense"])
    func `other bundles are refused at the base`(_ type: String) async throws {
        try await RecordServer.with { server async throws in
            #expect(try await server.send(.post, "", RecordServer.bundle(type, [])).status == 400)
        }
    }

    @Test func `a batch has no idempotency key and may be empty`() async throws {
        try await RecordServer.with { server async throws in
            #expect(
                try await server.send(.post, "", RecordServer.bundle("batch", []), [.idempotencyKey: "k"]).status == 400
            )
            #expect(try await server.send(.post, "", #"{"resourceType":"Bundle","type":"batch"}"#).status == 200)
        }
    }
}
