import ClinicalData
import NIOCore
import PostgresDriver
import Testing

struct StoreReadTests {
    private let store = ClinicalStore()
    private let audit = StoreFixture.audit

    @Test func `what does not exist is nothing, and asking for it is audited`() async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            let type = try StoreFixture.type("Patient")
            #expect(try await store.read(type, id: "no", audit: audit, on: statements) == nil)
            #expect(try await store.read(type, id: "no", version: 1, audit: audit, on: statements) == nil)
            let rows = try await pool.query(
                PostgresStatement(
                    """
                    select \(AuditRow.columns) from audit.event e
                    union all select \(AuditRow.columns) from audit.read_event e order by seq
                    """))
            let events = try rows.map { try AuditRow($0) }
            #expect(events.map(\.outcome) == [4, 4])
            #expect(events.map(\.interaction) == [.read, .vread])
            #expect(events.map(\.resourceID) == ["no", "no"])
            // Whoever asks for a patient asks about that patient, there or not.
            #expect(events.allSatisfy { $0.patient == "no" && $0.type == type })
        }
    }

    @Test func `the history of an instance is paged without gaps while writes go on`() async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            for _ in 0..<7 {
                _ = try await store.write([try StoreFixture.operation(.update, "a")], audit: audit, on: statements)
            }
            let scope = HistoryScope.instance(try StoreFixture.type("Patient"), id: "a")
            var versions: [Int32] = []
            var position: Int64?
            repeat {
                let page = try await store.history(
                    of: scope, count: 3, in: HistoryPeriod(), position: position, audit: audit, on: statements)
                versions += page.entries.map(\.version)
                position = page.next
                _ = try await store.write([try StoreFixture.operation(.update, "a")], audit: audit, on: statements)
            } while position != nil
            #expect(versions == [7, 6, 5, 4, 3, 2, 1])
        }
    }

    @Test func `a reading that is judged first is recorded as it ended, for the patient it was made for`() async throws
    {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            let type = try StoreFixture.type("Patient")
            for more in ["", ",\"active\":true"] {
                _ = try await store.write(
                    [try StoreFixture.operation(.update, "a", more: more)], audit: audit, on: statements)
            }
            let first = try #require(try await store.version(1, of: type, id: "a", on: statements))
            #expect(first.content == StoreFixture.content("a") && first.version == 1)
            #expect(try await store.version(2, of: type, id: "a", on: statements)?.version == 2)
            #expect(try await store.version(3, of: type, id: "a", on: statements) == nil)
            try await AuditLog().record(
                [
                    AuditEntry(
                        .vread, outcome: .minorFailure, type: type, resourceID: "a", version: 1, patient: "other")
                ], audit, on: statements)
            _ = try await store.history(
                of: .instance(type, id: "a"), count: 10, in: HistoryPeriod(), position: nil, audit: audit,
                patient: "other", on: statements)
            let rows = try await pool.query(
                PostgresStatement("select \(AuditRow.columns) from audit.event e where e.action = 'R' order by seq"))
            let events = try rows.map { try AuditRow($0) }
            #expect(events.map(\.interaction) == [.vread, .historyInstance])
            #expect(events.map(\.outcome) == [4, 0])
            #expect(events.map(\.version) == [1, nil])
            #expect(events.map(\.patient) == ["other", "other"])
        }
    }

    @Test func `the history of a type and of everything follows the order of writes`() async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            let patient = try StoreFixture.type("Patient")
            let organization = try StoreFixture.type("Organization")
            _ = try await store.write([try StoreFixture.operation(.create, "a")], audit: audit, on: statements)
            _ = try await store.write(
                [
                    WriteOperation(
                        .update, organization, id: "o", content: StoreFixture.content("o"), index: IndexRows())
                ], audit: audit, on: statements)
            _ = try await store.write([WriteOperation(delete: patient, id: "a")], audit: audit, on: statements)
            let all = try await store.history(
                of: .system(types: nil), count: 10, in: HistoryPeriod(), position: nil, audit: audit, on: statements)
            #expect(all.entries.map(\.method) == [.delete, .update, .create])
            #expect(all.entries.map(\.isDeleted) == [true, false, false])
            #expect(all.entries[2].content == StoreFixture.content("a"))
            let some = try await store.history(
                of: .system(types: [organization]), count: 10, in: HistoryPeriod(), position: nil, audit: audit,
                on: statements)
            #expect(some.entries.map(\.id) == ["o"])
            let ofType = try await store.history(
                of: .type(patient), count: 1, in: HistoryPeriod(), position: nil, audit: audit, on: statements)
            #expect(ofType.entries.map(\.version) == [2])
            #expect(ofType.next != nil)
            let since = try await store.history(
                of: .type(patient), count: 10, in: HistoryPeriod(since: all.entries[0].lastUpdated), position: nil,
                audit: audit,
                on: statements)
            #expect(since.entries.map(\.version) == [2])
            #expect(
                try await StoreFixture.count("select count(*) from audit.event where interaction in (4, 5)", on: pool)
                    == 4)
        }
    }

    @Test func `an instance that never was has no history`() async throws {
        try await StoreFixture.withPool { pool in
            let page = try await store.history(
                of: .instance(try StoreFixture.type("Patient"), id: "no"), count: 10, in: HistoryPeriod(),
                position: nil,
                audit: audit, on: PooledStatements(pool, deadline: nil))
            #expect(!page.exists)
            #expect(page.entries.isEmpty)
        }
    }
}
