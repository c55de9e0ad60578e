import NIOCore
import PostgresDriver
import TestSupport
import Testing

@Suite struct PipelineTests {
    private static let number = PostgresStatement("select $1::int4")
    private static let divide = PostgresStatement("select 1 / $1::int4")

    private func withPipeline(_ body: @Sendable (PostgresPipeline, PostgresPool) async throws -> Void) async throws {
        try await TestPostgres.withDatabase { configuration in
            let pipeline = testPipeline(configuration)
            let pool = testPool(configuration)
            do {
                try await body(pipeline, pool)
            } catch {
                pipeline.close()
                await pool.shutdown()
                throw error
            }
            pipeline.close()
            await pool.shutdown()
        }
    }

    /// Asks for everything within one tick.
    private func all(
        _ pipeline: PostgresPipeline, _ queries: [(PostgresStatement, [PostgresValue], Bool)]
    ) async throws -> [Result<PostgresResult, any Error>] {
        try await pipeline.eventLoop.flatSubmit {
            EventLoopFuture.whenAllComplete(
                queries.map { statement, values, retryable in
                    pipeline.query(statement, values, retryable: retryable)
                }, on: pipeline.eventLoop)
        }.get()
    }

    @Test func `many queries at once get each its own answer`() async throws {
        try await withPipeline { pipeline, _ in
            let results = try await all(pipeline, (0..<2000).map { number in (Self.number, [.int4(number)], true) })
            for (number, result) in results.enumerated() {
                #expect(try result.get()[0].int4(0) == Int32(number))
            }
        }
    }

    @Test func `queries of one tick share a transaction`() async throws {
        try await withPipeline { pipeline, _ in
            _ = try await pipeline.query(Self.number, [.int4(1)]).get()
            let current = PostgresStatement("select pg_current_xact_id()::text")
            let results = try await all(pipeline, Array(repeating: (current, [], true), count: 10))
            #expect(Set(try results.map { result in try result.get()[0].string(0) }).count == 1)
        }
    }

    @Test func `a failure is its own and the others are answered`() async throws {
        try await withPipeline { pipeline, _ in
            let results = try await all(pipeline, (0..<20).map { number in (Self.divide, [.int4(number % 5)], true) })
            for (number, result) in results.enumerated() {
                if number % 5 == 0 {
                    let error = #expect(throws: PostgresError.self) { try result.get() }
                    #expect(error?.sqlState == "22012")
                } else {
                    #expect(try result.get()[0].int4(0) == (number % 5 == 1 ? 1 : 0))
                }
            }
        }
    }

    @Test func `an insert in a batch with a failure is done exactly once`() async throws {
        try await withPipeline { pipeline, pool in
            try await pool.withConnection { connection in
                try await connection.execute(
                    "create table t (v int constraint t_key unique deferrable initially deferred)")
            }
            let insert = PostgresStatement("insert into t values ($1)")
            let results = try await all(
                pipeline,
                [
                    (insert, [.int4(1)], false), (Self.divide, [.int4(0)], true), (insert, [.int4(2)], false),
                    (insert, [.int4(1)], false), (insert, [.int4(3)], false),
                ])
            #expect(try results[0].get().affectedRows == 1)
            #expect(throws: PostgresError.self) { try results[1].get() }
            #expect(try results[2].get().affectedRows == 1)
            // The commit of the doubled row fails, found out by sending each alone.
            let error = #expect(throws: PostgresError.self) { try results[3].get() }
            #expect(error?.constraint == "t_key")
            #expect(try results[4].get().affectedRows == 1)
            let stored = try await pool.query(PostgresStatement("select array_agg(v order by v) from t"))[0].int4Array(
                0)
            #expect(stored == [1, 2, 3])
        }
    }

    @Test func `a syntax error fails every use of the statement and nothing else`() async throws {
        try await withPipeline { pipeline, _ in
            let wrong = PostgresStatement("selec")
            let results = try await all(
                pipeline, [(wrong, [], true), (Self.number, [.int4(1)], true), (wrong, [], true)])
            #expect(throws: PostgresError.self) { try results[0].get() }
            #expect(try results[1].get()[0].int4(0) == 1)
            #expect(throws: PostgresError.self) { try results[2].get() }
        }
    }

    @Test func `a killed backend costs reads nothing and is an error for statements with effects`() async throws {
        try await withPipeline { pipeline, pool in
            let backend = try await pipeline.query(PostgresStatement("select pg_backend_pid()")).get()[0].int4(0)
            // Held until the backend is dead, so that the batch is under way when it dies.
            let answers = try await pool.withTransaction { connection in
                try await connection.query(PostgresStatement("select pg_advisory_xact_lock(7)"))
                let answers = Task {
                    try await all(
                        pipeline,
                        [
                            (PostgresStatement("select pg_advisory_xact_lock_shared(7)"), [], true),
                            (Self.number, [.int4(7)], true),
                            (PostgresStatement("select set_config('a.b', 'c', true)"), [], false),
                        ])
                }
                let waiting = PostgresStatement("select count(*) from pg_locks where pid = $1 and not granted")
                try await expectEventually {
                    try await connection.query(waiting, [.int4(backend)])[0].int8(0) == 1
                }
                try await connection.query(PostgresStatement("select pg_terminate_backend($1)"), [.int4(backend)])
                return answers
            }
            let results = try await answers.value
            #expect(try results[0].get().count == 1)
            #expect(try results[1].get()[0].int4(0) == 7)
            let error = #expect(throws: PostgresError.self) { try results[2].get() }
            #expect(error?.isRetryable == true)
            #expect(try await pipeline.query(Self.number, [.int4(9)]).get()[0].int4(0) == 9)
        }
    }

    @Test func `the queue is bounded`() async throws {
        try await TestPostgres.withDatabase { configuration in
            let pipeline = testPipeline(configuration, maximumQueued: 10)
            let results = try await all(pipeline, (0..<11).map { number in (Self.number, [.int4(number)], true) })
            let error = #expect(throws: PostgresError.self) { try results[10].get() }
            #expect(error?.code == .poolExhausted)
            #expect(try results[9].get()[0].int4(0) == 9)
            pipeline.close()
        }
    }

    @Test func `a closed pipeline refuses`() async throws {
        try await withPipeline { pipeline, _ in
            _ = try await pipeline.query(Self.number, [.int4(1)]).get()
            pipeline.close()
            let error = await #expect(throws: PostgresError.self) {
                try await pipeline.query(Self.number, [.int4(1)]).get()
            }
            #expect(error?.code == .closed)
        }
    }

    @Test func `a changed table is noticed`() async throws {
        try await withPipeline { pipeline, pool in
            let all = PostgresStatement("select * from changing")
            try await pool.withConnection { connection in
                try await connection.execute("create table changing (a int); insert into changing values (1)")
            }
            #expect(try await pipeline.query(all).get()[0].count == 1)
            try await pool.withConnection { connection in
                try await connection.execute("alter table changing add b text")
            }
            #expect(try await pipeline.query(all).get()[0].count == 2)
        }
    }
}
