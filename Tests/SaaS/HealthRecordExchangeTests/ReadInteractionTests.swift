import ClinicalData
import CloudHTTP
import HTTPTypes
import StrictJSON
import Testing

struct ReadInteractionTests {
    @Test func `a client that has the version gets no body`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.put, "Patient/a", RecordServer.patient("1", ",\"id\":\"a\""))
            let same = try await server.send(.get, "Patient/a", nil, [.ifNoneMatch: "W/\"1\""])
            #expect(same.status == 304)
            #expect(same.text.isEmpty)
            #expect(same.tag == "W/\"1\"")
            #expect(try await server.send(.get, "Patient/a", nil, [.ifNoneMatch: "W/\"2\""]).status == 200)
            let past = "Sat, 01 Jan 2000 00:00:00 GMT"
            #expect(try await server.send(.get, "Patient/a", nil, [.ifModifiedSince: past]).status == 200)
            let future = "Sat, 01 Jan 2033 00:00:00 GMT"
            #expect(try await server.send(.get, "Patient/a", nil, [.ifModifiedSince: future]).status == 304)
        }
    }

    @Test func `histories list every version once over pages`() async throws {
        try await RecordServer.with { server async throws in
            for _ in 0..<3 {
                _ = try await server.send(.put, "Patient/a", RecordServer.patient("1", ",\"id\":\"a\""))
            }
            _ = try await server.send(.delete, "Patient/a")
            _ = try await server.send(.post, "Organization", #"{"resourceType":"Organization","name":"X"}"#)
            let instance = try await server.send(.get, "Patient/a/_history").json()
            #expect(instance["type"]?.string == "history")
            #expect(instance["total"]?.integer == 4)
            let entries = instance["entry"].map { Array($0.elements) } ?? []
            #expect(entries.map { $0["request"]?["method"]?.string } == ["DELETE", "PUT", "PUT", "PUT"])
            #expect(entries[0]["resource"] == nil)
            #expect(entries[3]["response"]?["status"]?.string == "201 Created")
            var target: String? = "_history?_count=2"
            var tags: [String] = []
            while let page = target {
                let bundle = try await server.send(.get, page).json()
                tags += (bundle["entry"].map { Array($0.elements) } ?? []).compactMap {
                    $0["response"]?["etag"]?.string
                }
                target = (bundle["link"].map { Array($0.elements) } ?? [])
                    .first { $0["relation"]?.stringIs("next") == true }?["url"]?.string
                    .map { String($0.dropFirst(RecordServer.base.count + 1)) }
            }
            #expect(tags == [1, 4, 3, 2, 1].map { "W/\"\($0)\"" })
            #expect(try await server.send(.get, "_history?_cursor=AAAA").status == 400)
            #expect(try await server.send(.get, "_history?_nonsense=1").status == 400)
            #expect(try await server.send(.get, "Patient/never/_history").status == 404)
        }
    }

    @Test func `a history cursor is of no use for another history`() async throws {
        try await RecordServer.with { server async throws in
            for _ in 0..<3 {
                _ = try await server.send(.put, "Patient/a", RecordServer.patient("1", ",\"id\":\"a\""))
            }
            let bundle = try await server.send(.get, "Patient/_history?_count=1").json()
            let url = bundle["link"].map { Array($0.elements) }?.last?["url"]?.string ?? ""
            let cursor = url.split(separator: "_cursor=").last ?? ""
            #expect(try await server.send(.get, "Patient/_history?_count=1&_cursor=\(cursor)").status == 200)
            #expect(try await server.send(.get, "_history?_count=1&_cursor=\(cursor)").status == 400)
        }
    }

    @Test func `scopes are enforced on reads, histories and writes, and denials are recorded`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.put, "Patient/a", RecordServer.patient("1", ",\"id\":\"a\""))
            let scope = "system/Observation.rs"
            #expect(try await server.send(.get, "Patient/a", scope: scope).status == 403)
            #expect(try await server.send(.get, "Patient/a/_history", scope: scope).status == 403)
            #expect(try await server.send(.get, "Patient/a/_history/1", scope: scope).status == 403)
            #expect(try await server.send(.get, "Patient?name=x", scope: scope).status == 403)
            #expect(try await server.send(.delete, "Patient/a", scope: scope).status == 403)
            #expect(try await server.send(.post, "Patient", RecordServer.patient("2"), scope: scope).status == 403)
            let system = try await server.send(.get, "_history", scope: scope)
            #expect(system.status == 200)
            #expect(try system.json()["entry"] == nil)
            let denied = try await server.audit().filter { $0.outcome == 4 }
            #expect(denied.map(\.interaction) == [.read, .historyInstance, .vread, .searchType, .delete, .create])
            #expect(try await server.send(.get, "Patient/a").status == 200)
        }
    }

    @Test func `each interaction leaves its audit row`() async throws {
        try await RecordServer.with { server async throws in
            _ = try await server.send(.put, "Patient/a", RecordServer.patient("1", ",\"id\":\"a\""))
            _ = try await server.send(.get, "Patient/a")
            _ = try await server.send(.get, "Patient/a/_history/1")
            _ = try await server.send(.get, "Patient/a/_history")
            _ = try await server.send(.get, "Observation?patient=a")
            _ = try await server.send(.delete, "Patient/a")
            _ = try await server.send(.get, "Patient/a")
            let rows = try await server.audit()
            #expect(
                rows.map(\.interaction) == [
                    .update, .read, .vread, .historyInstance, .searchType, .delete, .read,
                ])
            #expect(rows.map(\.outcome) == [0, 0, 0, 0, 0, 0, 4])
            #expect(rows.allSatisfy { $0.patient == "a" && $0.practitioner == "Practitioner/17" })
            for row in rows {
                let read = try await server.send(.get, "AuditEvent/\(row.id)")
                #expect(read.status == 200)
                #expect(try read.json()["resourceType"]?.string == "AuditEvent")
                #expect(try read.json()["action"]?.string == row.action)
            }
            #expect(try await server.send(.get, "AuditEvent/audit-99999").status == 404)
        }
    }

    @Test func `the capability statement declares every type and is the same bytes each time`() async throws {
        try await RecordServer.with { server async throws in
            let first = try await server.send(.get, "metadata")
            #expect(first.status == 200)
            let rest = try first.json()["rest"]?.elements.first { _ in true }
            #expect(rest?["resource"]?.count == 146)
            #expect(try first.json()["implementation"]?["url"]?.string == RecordServer.base)
            #expect(try await server.send(.get, "metadata").text == first.text)
        }
    }
}
