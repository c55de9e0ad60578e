import PostgresDriver
import TestSupport
import Testing

@Suite struct TransactionTests {
    private static let insert = PostgresStatement("insert into t values ($1)")
    private static let count = PostgresStatement("select count(*) from t")
    struct Planned: Error {}

    private func withTable(_ body: @Sendable (PostgresPool) async throws -> Void) async throws {
        try await TestPostgres.withPool(maximumConnections: 2) { pool async throws in
            try await pool.withConnection { connection async throws in
                try await connection.execute(
                    "create table t (v int constraint t_key unique deferrable initially deferred)")
            }
            try await body(pool)
        }
    }

    @Test func `a body that throws is rolled back and its error passed on`() async throws {
        try await withTable { pool async throws in
            await #expect(throws: Planned.self) {
                try await pool.withTransaction { connection async throws in
                    try await connection.query(Self.insert, [.int4(1)])
                    throw Planned()
                }
            }
            #expect(try await pool.query(Self.count)[0].int8(0) == 0)
            #expect(pool.usage.connections == 1)
        }
    }

    @Test func `an error that the body swallowed still fails the transaction`() async throws {
        try await withTable { pool async throws in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction { connection async throws in
                    try await connection.query(Self.insert, [.int4(1)])
                    _ = try? await connection.query(PostgresStatement("select 1 / 0"))
                }
            }
            #expect(error?.sqlState == "25P02")
            #expect(try await pool.query(Self.count)[0].int8(0) == 0)
        }
    }

    @Test func `a commit that fails is the error of the transaction`() async throws {
        try await withTable { pool async throws in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction { connection async throws in
                    try await connection.query(Self.insert, [.int4(1)])
                    try await connection.query(Self.insert, [.int4(1)])
                }
            }
            #expect(error?.condition == .uniqueViolation)
            #expect(try await pool.query(Self.count)[0].int8(0) == 0)
            #expect(pool.usage.connections == 1)
        }
    }

    @Test func `a single statement whose commit fails is not reported as done`() async throws {
        try await withTable { pool async throws in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.query(PostgresStatement("insert into t values (1), (1)"))
            }
            #expect(error?.condition == .uniqueViolation)
            #expect(error?.constraint == "t_key")
            #expect(try await pool.query(Self.count)[0].int8(0) == 0)
        }
    }

    @Test func `pipelined statements commit together or not at all`() async throws {
        try await withTable { pool async throws in
            let results = try await pool.pipeline([(Self.insert, [.int4(1)]), (Self.count, [])])
            #expect(try results[1][0].int8(0) == 1)
            let error = await #expect(throws: PostgresError.self) {
                try await pool.pipeline([(Self.insert, [.int4(2)]), (PostgresStatement("select 1 / 0"), [])])
            }
            #expect(error?.sqlState == "22012")
            #expect(try await pool.query(Self.count)[0].int8(0) == 1)
        }
    }

    @Test func `isolation and read only reach the server`() async throws {
        try await withTable { pool async throws in
            let setting = PostgresStatement(
                "select current_setting('transaction_isolation'), current_setting('transaction_read_only')")
            try await pool.withTransaction(isolation: .serializable, readOnly: true) { connection async throws in
                let row = try await connection.query(setting)[0]
                #expect(try row.string(0) == "serializable")
                #expect(try row.string(1) == "on")
            }
            try await pool.withTransaction { connection async throws in
                #expect(try await connection.query(setting)[0].string(0) == "read committed")
            }
        }
    }

    @Test func `a transaction without statements costs nothing`() async throws {
        try await withTable { pool async throws in
            #expect(try await pool.withTransaction { _ in 7 } == 7)
        }
    }

    @Test func `a connection given back inside a transaction is closed`() async throws {
        try await withTable { pool async throws in
            let first = try await pool.withConnection { connection async throws in
                try await connection.execute("begin")
                return try await connection.query(PostgresStatement("select pg_backend_pid()"))[0].int4(0)
            }
            let second = try await pool.query(PostgresStatement("select pg_backend_pid()"))[0].int4(0)
            #expect(first != second)
        }
    }

    @Test func `a connection kept after its scope refuses to work`() async throws {
        try await withTable { pool async throws in
            let kept = try await pool.withConnection { connection in connection }
            let error = await #expect(throws: PostgresError.self) { try await kept.query(Self.count) }
            #expect(error?.code == .closed)
        }
    }

    @Test func `a statement is prepared anew when its table has changed`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool async throws in
            let all = PostgresStatement("select * from changing")
            try await pool.withConnection { connection async throws in
                try await connection.execute("create table changing (a int); insert into changing values (1)")
            }
            #expect(try await pool.query(all)[0].count == 1)
            try await pool.withConnection { connection async throws in
                try await connection.execute("alter table changing add b text default 'b'")
            }
            #expect(try await pool.query(all)[0].count == 2)
        }
    }

    @Test func `a null first and a value later fit the same statement`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool async throws in
            let statement = PostgresStatement("select $1 + 1::int8")
            #expect(try await pool.query(statement, [.null])[0].isNull(0))
            #expect(try await pool.query(statement, [.int4(1)])[0].int8(0) == 2)
            #expect(try await pool.query(statement, [.int8(2)])[0].int8(0) == 3)
            #expect(try await pool.query(statement, [.null])[0].isNull(0))
        }
    }

    @Test func `more statements than a connection keeps prepared all work`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool async throws in
            for round in 0..<2 {
                for number in 0..<300 {
                    let row = try await pool.query(PostgresStatement("select \(number) + $1"), [.int4(Int32(round))])[0]
                    #expect(try row.int4(0) == Int32(number + round))
                }
            }
            let prepared = try await pool.query(PostgresStatement("select count(*) from pg_prepared_statements"))
            #expect(try prepared[0].int8(0) <= 258)
        }
    }
}
