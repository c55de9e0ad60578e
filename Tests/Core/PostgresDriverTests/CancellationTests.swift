import NIOCore
import PostgresDriver
import TestSupport
import Testing

@Suite struct CancellationTests {
    private static let sleep = PostgresStatement("select pg_sleep(60)")

    @Test func `a passed deadline ends the statement in the server and keeps the connection`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool in
            let backend = try await pool.query(PostgresStatement("select pg_backend_pid()"))[0].int4(0)
            let error = try await #require(throws: PostgresError.self) {
                try await pool.query(Self.sleep, deadline: .now() + .milliseconds(100))
            }
            #expect(error.code == .deadline)
            #expect(try await pool.query(PostgresStatement("select pg_backend_pid()"))[0].int4(0) == backend)
            #expect(try await pool.runningStatements() == 0)
        }
    }

    @Test func `a cancelled task ends its statement in the server`() async throws {
        try await TestPostgres.withDatabase { configuration in
            let pool = testPool(configuration, maximumConnections: 1)
            let observer = testPool(configuration, maximumConnections: 1)
            let task = Task { try await pool.query(Self.sleep) }
            try await expectEventually { try await observer.runningStatements() == 1 }
            task.cancel()
            let error = await #expect(throws: PostgresError.self) { try await task.value }
            #expect(error?.code == .cancelled)
            #expect(try await observer.runningStatements() == 0)
            await pool.shutdown()
            await observer.shutdown()
        }
    }

    @Test func `a deadline that has passed sends nothing`() async throws {
        try await TestPostgres.withPool { pool in
            try await pool.withConnection { connection in
                try await connection.execute("create sequence s")
                let error = await #expect(throws: PostgresError.self) {
                    try await connection.query(PostgresStatement("select nextval('s')"), deadline: .now() - .seconds(1))
                }
                #expect(error?.code == .deadline)
                #expect(try await connection.query(PostgresStatement("select nextval('s')"))[0].int8(0) == 1)
            }
        }
    }

    @Test func `a deadline inside a transaction rolls it back`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool in
            try await pool.withConnection { connection in try await connection.execute("create table t (v int)") }
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction(deadline: .now() + .milliseconds(100)) { connection in
                    try await connection.query(PostgresStatement("insert into t values (1)"))
                    try await connection.query(Self.sleep)
                }
            }
            #expect(error?.code == .deadline)
            #expect(try await pool.query(PostgresStatement("select count(*) from t"))[0].int8(0) == 0)
            #expect(pool.usage.connections == 1)
        }
    }

    @Test func `a task cancelled while it waits for a connection leaves the queue`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool in
            try await pool.withConnection { _ in
                let waiting = Task { try await pool.query(PostgresStatement("select 1")) }
                try await expectEventually { pool.usage.waiting == 1 }
                waiting.cancel()
                let error = await #expect(throws: PostgresError.self) { try await waiting.value }
                #expect(error?.code == .cancelled)
                #expect(pool.usage.waiting == 0)
            }
        }
    }

    @Test func `a cancel hits the running statement and not the next one on the connection`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool in
            for round in 0..<30 {
                _ = try? await pool.query(
                    PostgresStatement("select pg_sleep(0.002)"),
                    deadline: .now() + .microseconds(Int64(1500 + round * 50)))
                let row = try await pool.query(PostgresStatement("select pg_sleep(0.002), 5"))[0]
                #expect(try row.int4(1) == 5)
            }
        }
    }

    @Test func `the server's own limit is told apart from ours`() async throws {
        try await TestPostgres.withDatabase { configuration in
            var bounded = configuration
            bounded.statementTimeout = .milliseconds(50)
            let pool = testPool(bounded)
            let error = await #expect(throws: PostgresError.self) { try await pool.query(Self.sleep) }
            #expect(error?.code == .server)
            #expect(error?.condition == .cancelled)
            await pool.shutdown()
        }
    }
}
