import ClinicalData
import CloudHTTP
import HTTPTypes
import StrictJSON
import Testing

struct WriteInteractionTests {
    @Test func `a create answers with location, tag and time, and the server's id`() async throws {
        try await RecordServer.with { server async throws in
            let answer = try await server.send(.post, "Patient", RecordServer.patient("1", ",\"id\":\"mine\""))
            #expect(answer.status == 201)
            let id = try answer.id()
            #expect(id != "mine")
            #expect(answer.tag == "W/\"1\"")
            #expect(answer.headers[.location] == "\(RecordServer.base)/Patient/\(id)/_history/1")
            #expect(answer.headers[.lastModified] != nil)
            #expect(try answer.json()["meta"]?["versionId"]?.string == "1")
        }
    }

    @Test func `bytes come back as they were sent, decimals included`() async throws {
        try await RecordServer.with { server async throws in
            let sent = """
                { "resourceType": "Observation", "id": "o", "meta": { "tag": [{"code":"t"}] }, "status": "final",
                  "code": {"text": "𠀋 \\u00e9 🩺"}, "valueQuantity": {"value": 1.00, "unit": "mg"} }
                """
            #expect(try await server.send(.put, "Observation/o", sent).status == 201)
            let answer = try await server.send(.get, "Observation/o")
            #expect(answer.status == 200)
            let time = try answer.json()["meta"]?["lastUpdated"]?.string ?? ""
            let version = "\"versionId\":\"1\",\"lastUpdated\":\"\(time)\","
            #expect(answer.text.replacing(version, with: "") == sent)
        }
    }

    @Test func `prefer chooses the body`() async throws {
        try await RecordServer.with { server async throws in
            let minimal = try await server.send(
                .post, "Patient", RecordServer.patient("1"), [.prefer: "return=minimal"])
            #expect(minimal.status == 201)
            #expect(minimal.text.isEmpty)
            let outcome = try await server.send(
                .post, "Patient", RecordServer.patient("1"), [.prefer: "return=OperationOutcome"])
            #expect(try outcome.json()["resourceType"]?.string == "OperationOutcome")
        }
    }

    @Test func `an update creates, then updates, and refuses stale versions`() async throws {
        try await RecordServer.with { server async throws in
            let body = RecordServer.patient("1", ",\"id\":\"a\"")
            #expect(try await server.send(.put, "Patient/a", body).status == 201)
            let second = try await server.send(.put, "Patient/a", body, [.ifMatch: "W/\"1\""])
            #expect(second.status == 200)
            #expect(second.tag == "W/\"2\"")
            let stale = try await server.send(.put, "Patient/a", body, [.ifMatch: "W/\"1\""])
            #expect(stale.status == 412)
            #expect(stale.tag == "W/\"2\"")
            #expect(try await server.send(.put, "Patient/a", body, [.ifNoneMatch: "*"]).status == 412)
            #expect(try await server.send(.put, "Patient/b", body).status == 400)
            #expect(try await server.send(.put, "Patient/b", RecordServer.patient("1")).status == 400)
            #expect(try await server.send(.put, "Observation/a", body).status == 400)
        }
    }

    @Test func `a deleted resource is gone, keeps its history and can be restored`() async throws {
        try await RecordServer.with { server async throws in
            let body = RecordServer.patient("1", ",\"id\":\"a\"")
            _ = try await server.send(.put, "Patient/a", body)
            let deleted = try await server.send(.delete, "Patient/a")
            #expect(deleted.status == 204)
            #expect(deleted.tag == "W/\"2\"")
            let gone = try await server.send(.get, "Patient/a")
            #expect(gone.status == 410)
            #expect(gone.tag == "W/\"2\"")
            #expect(try await server.send(.delete, "Patient/a").status == 204)
            #expect(try await server.send(.delete, "Patient/never").status == 204)
            #expect(try await server.send(.get, "Patient/a/_history/2").status == 410)
            let old = try await server.send(.get, "Patient/a/_history/1")
            let restored = try await server.send(.put, "Patient/a", old.text)
            #expect(restored.status == 201)
            #expect(restored.tag == "W/\"3\"")
        }
    }

    @Test func `a patch changes what it names and nothing when its test fails`() async throws {
        try await RecordServer.with { server async throws in
            let type = [HTTPField.Name.contentType: "application/json-patch+json"]
            _ = try await server.send(.put, "Patient/a", RecordServer.patient("1", ",\"id\":\"a\""))
            let patched = try await server.send(
                .patch, "Patient/a", #"[{"op":"replace","path":"/gender","value":"male"}]"#, type)
            #expect(patched.status == 200)
            #expect(try patched.json()["gender"]?.string == "male")
            #expect(patched.tag == "W/\"2\"")
            let failed = try await server.send(
                .patch, "Patient/a",
                #"[{"op":"test","path":"/gender","value":"female"},{"op":"remove","path":"/gender"}]"#, type)
            #expect(failed.status == 422)
            #expect(
                try await server.send(.patch, "Patient/a", #"[{"op":"replace","path":"/id","value":"b"}]"#, type).status
                    == 422)
            #expect(try await server.send(.patch, "Patient/a", #"[{"op":"nope"}]"#, type).status == 400)
            #expect(try await server.send(.patch, "Patient/never", "[]", type).status == 404)
            #expect(try await server.send(.patch, "Patient/a", "[]").status == 415)
            let stale = type.merging([.ifMatch: "W/\"1\""]) { $1 }
            #expect(try await server.send(.patch, "Patient/a", "[]", stale).status == 412)
            #expect(try await server.send(.get, "Patient/a").tag == "W/\"2\"")
        }
    }

    @Test func `concurrent patches are all applied`() async throws {
        try await RecordServer.with { server async throws in
            let type = [HTTPField.Name.contentType: "application/json-patch+json"]
            _ = try await server.send(
                .put, "Patient/a",
                RecordServer.patient("1", ",\"id\":\"a\",\"name\":[]".replacing(",\"name\":[]", with: "")))
            try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<12 {
                    group.addTask {
                        try await server.send(
                            .patch, "Patient/a",
                            #"[{"op":"add","path":"/identifier/-","value":{"system":"urn:x","value":"\#(index)"}}]"#,
                            type
                        ).status
                    }
                }
                for try await status in group { #expect(status == 200) }
            }
            #expect(try await server.send(.get, "Patient/a").json()["identifier"]?.count == 13)
        }
    }

    @Test(arguments: [
        ("{", 400), ("", 400), (#"{"resourceType":"Patient","a":1,"a":2}"#, 400),
        (#"{"resourceType":"Observation"}"#, 400), (#"{"resourceType":"Patient","nope":1}"#, 400),
        (#"{"resourceType":"Patient","birthDate":"1990-13-01"}"#, 422),
        (#"{"resourceType":"Patient","gender":"x"}"#, 422),
        (#"{"resourceType":"Patient","name":[{"text":"\u0000"}]}"#, 400), ("[]", 400), (#"{"a":1}"#, 400),
    ])
    func `bad resources are refused with an outcome and nothing is stored`(_ body: String, _ status: Int) async throws {
        try await RecordServer.with { server async throws in
            let answer = try await server.send(.post, "Patient", body)
            #expect(answer.status == status, "\(answer.text)")
            #expect(try answer.json()["resourceType"]?.string == "OperationOutcome")
            #expect(try await server.count("fhir.resource") == 0)
        }
    }

    @Test func `other formats are refused`() async throws {
        try await RecordServer.with { server async throws in
            #expect(
                try await server.send(.post, "Patient", "<Patient/>", [.contentType: "application/fhir+xml"]).status
                    == 415)
            #expect(try await server.send(.get, "Patient/a", nil, [.accept: "application/fhir+xml"]).status == 406)
            #expect(try await server.send(.get, "Patient/a?_format=xml").status == 406)
            #expect(
                try await server.send(.get, "Patient/a?_format=json", nil, [.accept: "application/fhir+xml"]).status
                    == 404)
        }
    }

    @Test(arguments: [
        (HTTPRequest.Method.get, "Patient/$everything", 404), (.get, "NoSuchType", 404), (.post, "NoSuchType", 404),
        (.put, "metadata", 405), (.delete, "", 405), (.post, "Patient/1/_history", 405), (.put, "Patient", 412),
        (.post, "AuditEvent", 405), (.delete, "AuditEvent/audit-1", 405), (.get, "AuditEvent/audit-1/_history", 404),
        (.get, "Patient/a_b", 404), (.get, "Patient/1/Observation/2/3", 404), (.delete, "Patient", 412),
    ])
    func `what is not served is refused with an outcome`(
        _ method: HTTPRequest.Method, _ target: String, _ status: Int
    ) async throws {
        try await RecordServer.with { server async throws in
            let answer = try await server.send(method, target, method == .get ? nil : RecordServer.patient("1"))
            #expect(answer.status == status, "\(answer.text)")
            #expect(try answer.json()["resourceType"]?.string == "OperationOutcome")
        }
    }
}
