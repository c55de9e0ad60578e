import ClinicalData
import NIOCore
import PostgresDriver
import Testing

struct StoreWriteTests {
    private let store = ClinicalStore()
    private let audit = StoreFixture.audit

    @Test func `versions count up, times increase, superseded versions stay`() async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            let first = try await store.write(
                [try StoreFixture.operation(.create, "a")], audit: audit, on: statements)
            let second = try await store.write(
                [try StoreFixture.operation(.update, "a", more: ",\"active\":true")], audit: audit, on: statements)
            #expect(first.map(\.effect) == [.created])
            #expect(second.map(\.effect) == [.updated])
            #expect(second[0].version == 2)
            #expect(second[0].lastUpdated > first[0].lastUpdated)
            #expect(second[0].lastUpdated % 1000 == 0)
            let old = try await store.read(
                try StoreFixture.type("Patient"), id: "a", version: 1, audit: audit, on: statements)
            #expect(old?.content == StoreFixture.content("a"))
            let current = try await store.read(
                try StoreFixture.type("Patient"), id: "a", audit: audit, on: statements)
            #expect(current?.version == 2)
            #expect(current?.method == .update)
            #expect(current?.content == StoreFixture.content("a", ",\"active\":true"))
        }
    }

    @Test func `a delete takes content and index away, an update brings the resource back as the next version`()
        async throws
    {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            let type = try StoreFixture.type("Patient")
            _ = try await store.write([try StoreFixture.operation(.update, "a")], audit: audit, on: statements)
            let deleted = try await store.write(
                [WriteOperation(delete: type, id: "a")], audit: audit, on: statements)
            #expect(deleted.map(\.effect) == [.deleted])
            #expect(deleted[0].version == 2)
            let again = try await store.write(
                [WriteOperation(delete: type, id: "a"), WriteOperation(delete: type, id: "never")], audit: audit,
                on: statements)
            #expect(again.map(\.effect) == [.alreadyDeleted, .neverExisted])
            #expect(again[0].version == 2)
            #expect(try await StoreFixture.count("select count(*) from fhir.token", on: pool) == 0)
            #expect(try await StoreFixture.count("select count(*) from fhir.quantity", on: pool) == 0)
            let found = try await store.read(type, id: "a", audit: audit, on: statements)
            #expect(found?.isDeleted == true)
            let restored = try await store.write(
                [try StoreFixture.operation(.update, "a")], audit: audit, on: statements)
            #expect(restored.map(\.effect) == [.created])
            #expect(restored[0].version == 3)
            #expect(try await StoreFixture.count("select count(*) from fhir.token", on: pool) == 2)
        }
    }

    @Test func `a stale version is refused and nothing of the batch is stored`() async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            _ = try await store.write([try StoreFixture.operation(.create, "b")], audit: audit, on: statements)
            let error = await #expect(throws: StoreError.self) {
                try await store.write(
                    [
                        try StoreFixture.operation(.create, "a"),
                        try StoreFixture.operation(.update, "b", expected: 4),
                    ], audit: audit, on: statements)
            }
            guard case .versionConflict(operation: 1, current: 1) = error else {
                Issue.record("unexpected error \(String(describing: error))")
                return
            }
            #expect(try await StoreFixture.count("select count(*) from fhir.resource", on: pool) == 1)
            #expect(try await StoreFixture.count("select count(*) from audit.event", on: pool) == 1)
            #expect(try await StoreFixture.count("select count(*) from fhir.change", on: pool) == 1)
        }
    }

    @Test(arguments: [WriteOperation.Kind.create, .createOnly])
    func `an identity is created once`(_ kind: WriteOperation.Kind) async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            _ = try await store.write([try StoreFixture.operation(kind, "a")], audit: audit, on: statements)
            await #expect(throws: StoreError.self) {
                try await store.write([try StoreFixture.operation(kind, "a")], audit: audit, on: statements)
            }
        }
    }

    @Test func `a patch needs a resource`() async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            await #expect(throws: StoreError.self) {
                try await store.write([try StoreFixture.operation(.patch, "a")], audit: audit, on: statements)
            }
        }
    }

    @Test func `of many writers that expect one version exactly one wins`() async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            _ = try await store.write([try StoreFixture.operation(.create, "a")], audit: audit, on: statements)
            let wins = try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<40 {
                    group.addTask {
                        do {
                            _ = try await store.write(
                                [try StoreFixture.operation(.update, "a", code: "c\(index)", expected: 1)],
                                audit: audit, on: statements)
                            return true
                        } catch is StoreError {
                            return false
                        }
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(wins == 1)
            #expect(try await StoreFixture.count("select count(*) from fhir.history", on: pool) == 1)
        }
    }

    @Test func `batches that share resources in opposite orders do not deadlock`() async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            let ids = (0..<10).map { "r\($0)" }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for round in 0..<24 {
                    group.addTask {
                        let order = round % 2 == 0 ? ids : ids.reversed()
                        let operations = try order.map { try StoreFixture.operation(.update, $0, code: "c\(round)") }
                        _ = try await store.write(operations, audit: audit, on: statements)
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await StoreFixture.count("select min(version)::int8 from fhir.resource", on: pool) == 24)
            #expect(try await StoreFixture.count("select count(*) from fhir.token", on: pool) == 20)
        }
    }

    @Test func `index rows are written for the right resource and replaced when they changed`() async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            _ = try await store.write(
                [
                    try StoreFixture.operation(.update, "z", code: "1"),
                    try StoreFixture.operation(.update, "a", code: "2"),
                ], audit: audit, on: statements)
            _ = try await store.write(
                [
                    try StoreFixture.operation(.update, "z", code: "1"),
                    try StoreFixture.operation(.update, "a", code: "3"),
                ], audit: audit, on: statements)
            let found = try await pool.query(
                PostgresStatement(
                    """
                    select r.id, t.code from fhir.token t join fhir.resource r using (rid) where t.param = 1
                    order by r.id
                    """))
            #expect(try found.map { try $0.string(0) + $0.string(1) } == ["a3", "z1"])
            let dates = try await pool.query(PostgresStatement("select low, high from fhir.date"))
            let ranges = try dates.map { [try $0.timestamptz(0), try $0.timestamptz(1)] }
            #expect(ranges == [[.min, 1_000_000], [.min, 1_000_000]])
            for table in ["string", "date", "reference", "quantity", "uri"] {
                #expect(try await StoreFixture.count("select count(*) from fhir.\(table)", on: pool) == 2)
            }
        }
    }

    @Test func `each write leaves its audit row in the same commit`() async throws {
        try await StoreFixture.withPool { pool in
            let statements = PooledStatements(pool, deadline: nil)
            let type = try StoreFixture.type("Patient")
            _ = try await store.write([try StoreFixture.operation(.create, "a")], audit: audit, on: statements)
            _ = try await store.write([try StoreFixture.operation(.update, "a")], audit: audit, on: statements)
            _ = try await store.write([try StoreFixture.operation(.patch, "a")], audit: audit, on: statements)
            _ = try await store.write([WriteOperation(delete: type, id: "a")], audit: audit, on: statements)
            let rows = try await pool.query(
                PostgresStatement("select \(AuditRow.columns) from audit.event e order by seq"))
            let events = try rows.map { try AuditRow($0) }
            #expect(events.map(\.action) == ["C", "U", "U", "D"])
            #expect(events.map(\.interaction) == [.create, .update, .patch, .delete])
            #expect(events.map(\.version) == [1, 2, 3, 4])
            #expect(events.allSatisfy { $0.patient == "a" && $0.client == "client-1" && $0.purpose == "TREAT" })
        }
    }

    @Test func `thousands of operations are one statement`() async throws {
        try await StoreFixture.withPool { pool in
            let operations = try (0..<3000).map { try StoreFixture.operation(.create, "r\($0)", code: "\($0)") }
            let outcomes = try await store.write(
                operations, audit: audit, on: PooledStatements(pool, deadline: nil))
            #expect(outcomes.count == 3000)
            #expect(
                try await StoreFixture.count("select count(distinct code) from fhir.token where param = 1", on: pool)
                    == 3000)
        }
    }
}
