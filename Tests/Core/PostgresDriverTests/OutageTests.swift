import Glibc
import NIOCore
import PostgresDriver
import TestSupport
import Testing

@Suite struct OutageTests {
    private static let sleep = PostgresStatement("select pg_sleep(60)")

    @Test func `a killed server fails what was running and serves again after its restart`() async throws {
        let cluster = try await TestPostgres.cluster()
        let configuration = cluster.configuration()
        let pool = testPool(configuration, maximumConnections: 2)
        let pipeline = testPipeline(configuration)
        let number = PostgresStatement("select $1::int4")
        _ = try await pipeline.query(number, [.int4(1)]).get()
        let written = Task { try await pool.query(Self.sleep) }
        let read = Task { try await pipeline.query(Self.sleep).get() }
        let effect = Task { try await pipeline.query(number, [.int4(2)], retryable: false).get() }
        try await expectEventually { try await pool.runningStatements() == 2 }

        cluster.kill()
        for outcome in [await written.result, await read.result] {
            let error = #expect(throws: PostgresError.self) { try outcome.get() }
            #expect(error?.isRetryable == true)
        }
        _ = await effect.result

        try cluster.start()
        #expect(try await pool.query(number, [.int4(3)])[0].int4(0) == 3)
        #expect(try await pipeline.query(number, [.int4(4)]).get()[0].int4(0) == 4)
        pipeline.close()
        await pool.shutdown()
    }

    @Test func `a killed backend takes the others along and the pool recovers by itself`() async throws {
        let cluster = try await TestPostgres.cluster()
        let pool = testPool(cluster.configuration(), maximumConnections: 2)
        let backend = try await pool.query(PostgresStatement("select pg_backend_pid()"))[0].int4(0)
        let running = Task { try await pool.query(Self.sleep) }
        try await expectEventually { try await pool.runningStatements() == 1 }
        #expect(kill(backend, SIGKILL) == 0)
        let error = await #expect(throws: PostgresError.self) { try await running.value }
        #expect(error?.isRetryable == true)
        // The postmaster restarts all backends; callers wait as long as that takes.
        try await expectEventually {
            do {
                return try await pool.query(PostgresStatement("select 1"))[0].int4(0) == 1
            } catch let error as PostgresError where error.isRetryable {
                return false
            }
        }
        await pool.shutdown()
    }

    @Test func `nothing acknowledged is lost when backends are terminated`() async throws {
        try await TestPostgres.withDatabase { configuration in
            let pool = testPool(configuration, maximumConnections: 4)
            let pipeline = testPipeline(configuration)
            let nemesis = testPool(configuration, maximumConnections: 1)
            try await nemesis.withConnection { connection in
                try await connection.execute("create table t (id int primary key)")
            }
            let insert = PostgresStatement("insert into t values ($1)")
            let terminate = PostgresStatement(
                """
                select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()
                """)
            let acknowledged = Guarded<Set<Int32>>([])
            let unfinished = Guarded(8)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<8 {
                    group.addTask {
                        defer { unfinished.withLock { count in count -= 1 } }
                        for number in 0..<50 {
                            let id = Int32(writer * 1000 + number)
                            do {
                                if writer.isMultiple(of: 2) {
                                    try await pool.query(insert, [.int4(id)])
                                } else {
                                    _ = try await pipeline.query(insert, [.int4(id)], retryable: false).get()
                                }
                                acknowledged.withLock { ids in _ = ids.insert(id) }
                            } catch let error as PostgresError where error.isRetryable {
                                continue
                            }
                        }
                    }
                }
                group.addTask {
                    while unfinished.withLock({ count in count > 0 }) { try await nemesis.query(terminate) }
                }
                try await group.waitForAll()
            }
            let rows = try await nemesis.query(PostgresStatement("select id from t"))
            let stored = Set(try rows.map { row in try row.int4(0) })
            #expect(acknowledged.withLock { ids in ids }.isSubset(of: stored))
            pipeline.close()
            await pool.shutdown()
            await nemesis.shutdown()
        }
    }

    @Test func `a backend that hangs does not hold its caller beyond the grace`() async throws {
        // A stopped backend holds up everybody who makes or drops a database, so it has a cluster of its own.
        let cluster = try await TestPostgres.cluster()
        let pool = testPool(cluster.configuration(), maximumConnections: 1)
        let backend = try await pool.query(PostgresStatement("select pg_backend_pid()"))[0].int4(0)
        #expect(kill(backend, SIGSTOP) == 0)
        defer { kill(backend, SIGCONT) }
        let error = await #expect(throws: PostgresError.self) {
            try await pool.query(PostgresStatement("select 1"), deadline: .now() + .milliseconds(50))
        }
        #expect(error?.code == .deadline)
        let next = try await pool.query(PostgresStatement("select pg_backend_pid()"))[0].int4(0)
        #expect(next != backend)
        await pool.shutdown()
    }

    @Test func `a durable server passes the check`() async throws {
        let cluster = try await TestPostgres.cluster(settings: ["fsync = on", "full_page_writes = on"])
        let pool = testPool(cluster.configuration())
        try await pool.withConnection { connection in try await connection.verifyDurability() }
        await pool.shutdown()
    }

    @Test func `a listener hears and hears again after its connection was lost`() async throws {
        try await TestPostgres.withPool { pool in
            var events = pool.listen("news \"quoted\"").makeAsyncIterator()
            let listening = await events.next()
            #expect(listening == .listening)
            let notify = PostgresStatement("select pg_notify($1, $2)")
            try await pool.query(notify, [.text("news \"quoted\""), .text("one")])
            guard case .notification(let first)? = await events.next() else {
                Issue.record("a notification was expected")
                return
            }
            #expect(first.payload == "one")
            try await pool.query(
                PostgresStatement(
                    """
                    select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and query like 'listen%'
                    """))
            let again = await events.next()
            #expect(again == .listening)
            try await pool.query(notify, [.text("news \"quoted\""), .text("two")])
            guard case .notification(let second)? = await events.next() else {
                Issue.record("a notification was expected")
                return
            }
            #expect(second.payload == "two")
        }
    }

    @Test func `a listener ends with its pool`() async throws {
        try await TestPostgres.withDatabase { configuration in
            let pool = testPool(configuration)
            var events = pool.listen("news").makeAsyncIterator()
            let start = await events.next()
            #expect(start == .listening)
            await pool.shutdown()
            let end = await events.next()
            #expect(end == nil)
            var late = pool.listen("news").makeAsyncIterator()
            let none = await late.next()
            #expect(none == nil)
        }
    }
}
