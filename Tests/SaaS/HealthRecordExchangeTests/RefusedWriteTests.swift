import ClinicalData
import CloudHTTP
import HTTPTypes
import StrictJSON
import Testing

/// Writes that are understood and refused.
struct RefusedWriteTests {
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
}
