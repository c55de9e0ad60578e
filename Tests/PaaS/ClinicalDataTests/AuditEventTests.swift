import ClinicalData
import PostgresDriver
import StrictJSON
import Testing

struct AuditEventTests {
    @Test func `a recorded search is rendered with query, agents, purpose and patient`() async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            let log = AuditLog()
            try await log.record(
                [
                    AuditEntry(
                        .searchType, type: try StoreFixture.type("Observation"), patient: "p1", query: "patient=p1"),
                    AuditEntry(.read, outcome: .minorFailure, type: try StoreFixture.type("Patient"), resourceID: "x"),
                ], StoreFixture.audit, on: statements)
            let row = try #require(try await log.event(id: "audit-64", on: statements))
            let document = try JSONDocument(AuditEventRenderer(baseURL: "https://h/fhir").render(row))
            let root = document.root
            #expect(root["id"]?.string == "audit-64")
            #expect(
                root["meta"]?["profile"]?.elements.first { _ in true }?.string
                    == "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientQuery")
            #expect(root["action"]?.string == "E")
            let text = String(decoding: document.bytes, as: UTF8.self)
            #expect(text.contains(Base64.encoded("patient=p1".utf8)))
            #expect(text.contains("Patient/p1"))
            #expect(text.contains("client-1"))
            #expect(text.contains("TREAT"))
            #expect(text.contains("request-1"))
            #expect(root["agent"]?.count == 3)
            let denied = try #require(try await log.event(id: "audit-128", on: statements))
            #expect(denied.outcome == 4)
            #expect(AuditEventRenderer.profile(denied).hasSuffix("IHE.BasicAudit.PatientRead"))
        }
    }

    @Test(arguments: ["audit-0", "audit-", "audit-01", "audit--1", "audit-9223372036854775808", "1", "audit-2"])
    func `other ids name no event`(_ id: String) async throws {
        try await StoreFixture.withPool { pool in
            let found = try await AuditLog().event(id: id, on: PooledStatements(pool, deadline: nil))
            #expect(found == nil)
        }
    }
}
