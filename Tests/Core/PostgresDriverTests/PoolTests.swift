import NIOCore
import NIOPosix
import PostgresDriver
import TestSupport
import Testing

@Suite struct PoolTests {
    private static let one = PostgresStatement("select 1")

    @Test func `no more connections than the maximum are open whatever is asked`() async throws {
        try await TestPostgres.withPool(maximumConnections: 3) { pool in
            let most = Guarded(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<60 {
                    group.addTask {
                        try await pool.withConnection { connection in
                            let count = try await connection.query(
                                PostgresStatement(
                                    "select count(*) from pg_stat_activity where datname = current_database()"))[0]
                                .int8(0)
                            most.withLock { most in most = max(most, Int(count)) }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(most.withLock { most in most } <= 3)
            #expect(pool.usage.connections <= 3)
        }
    }

    @Test func `waiters are served in the order of asking`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool in
            let order = Guarded<[Int]>([])
            try await withThrowingTaskGroup(of: Void.self) { group in
                try await pool.withConnection { _ in
                    for number in 0..<10 {
                        group.addTask {
                            try await pool.withConnection { _ in order.withLock { order in order.append(number) } }
                        }
                        try await expectEventually { pool.usage.waiting == number + 1 }
                    }
                }
                try await group.waitForAll()
            }
            #expect(order.withLock { order in order } == Array(0..<10))
        }
    }

    @Test func `a caller too many is refused at once`() async throws {
        try await TestPostgres.withDatabase { configuration in
            let pool = testPool(configuration, maximumConnections: 1, maximumWaiters: 1)
            try await pool.withConnection { _ in
                let waiting = Task { try await pool.query(Self.one) }
                try await expectEventually { pool.usage.waiting == 1 }
                let error = await #expect(throws: PostgresError.self) { try await pool.query(Self.one) }
                #expect(error?.code == .poolExhausted)
                waiting.cancel()
            }
            await pool.shutdown()
        }
    }

    @Test func `an idle connection is closed`() async throws {
        try await TestPostgres.withDatabase { configuration in
            let pool = testPool(configuration, idleTimeout: .milliseconds(50))
            try await pool.query(Self.one)
            #expect(pool.usage.connections == 1)
            try await expectEventually { pool.usage.connections == 0 }
            try await pool.query(Self.one)
            await pool.shutdown()
        }
    }

    @Test func `a shut down pool refuses and its connections are gone`() async throws {
        try await TestPostgres.withDatabase { configuration in
            let pool = testPool(configuration)
            let observer = testPool(configuration)
            try await pool.query(Self.one)
            await pool.shutdown()
            let error = await #expect(throws: PostgresError.self) { try await pool.query(Self.one) }
            #expect(error?.code == .closed)
            let others = PostgresStatement(
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
            try await expectEventually { try await observer.query(others)[0].int8(0) == 0 }
            await observer.shutdown()
        }
    }

    @Test func `a budget caps the pools and pipelines of a process together`() async throws {
        try await TestPostgres.withDatabase { configuration in
            let budget = PostgresConnectionBudget(limit: 2)
            let pools = (0..<4).map { _ in testPool(configuration, maximumConnections: 2, budget: budget) }
            let pipeline = testPipeline(configuration, budget: budget)
            let most = Guarded(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for round in 0..<10 {
                    for pool in pools {
                        group.addTask {
                            try await pool.query(PostgresStatement("select pg_sleep(0.001)"))
                            most.withLock { most in most = max(most, budget.used) }
                        }
                    }
                    if round % 3 == 0 {
                        group.addTask {
                            // A pipeline does not queue for the budget: it tries again a few times, then says so.
                            do {
                                _ = try await pipeline.query(Self.one).get()
                            } catch let error as PostgresError {
                                #expect(error.code == .poolExhausted)
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(most.withLock { most in most } <= 2)
            pipeline.close()
            for pool in pools { await pool.shutdown() }
            try await expectEventually { budget.used == 0 }
        }
    }

    @Test func `a pool recovers when its backend is killed`() async throws {
        try await TestPostgres.withDatabase { configuration in
            let pool = testPool(configuration, maximumConnections: 1)
            let observer = testPool(configuration, maximumConnections: 1)
            let backend = try await pool.query(PostgresStatement("select pg_backend_pid()"))[0].int4(0)
            let running = Task { try await pool.query(PostgresStatement("select pg_sleep(60)")) }
            try await expectEventually { try await observer.runningStatements() == 1 }
            try await observer.query(PostgresStatement("select pg_terminate_backend($1)"), [.int4(backend)])
            let error = await #expect(throws: PostgresError.self) { try await running.value }
            #expect(error?.isRetryable == true)
            #expect(try await pool.query(Self.one)[0].int4(0) == 1)
            await pool.shutdown()
            await observer.shutdown()
        }
    }

    @Test func `a server without durability is refused`() async throws {
        try await TestPostgres.withPool { pool in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withConnection { connection in try await connection.verifyDurability() }
            }
            #expect(error?.serverMessage.contains("fsync") == true)
        }
    }
}
