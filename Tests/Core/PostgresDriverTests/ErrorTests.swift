import NIOCore
import TestSupport
import Testing

@testable import PostgresDriver

@Suite struct ErrorTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let sql: String
        let sqlState: String
        let condition: PostgresError.Condition
        var isRetryable = false
        var testDescription: String { sqlState }
    }

    @Test(arguments: [
        Case(sql: "insert into t values (1)", sqlState: "23505", condition: .uniqueViolation),
        Case(sql: "insert into t values (-1)", sqlState: "23514", condition: .constraintViolation),
        Case(sql: "insert into t values (null)", sqlState: "23502", condition: .constraintViolation),
        Case(sql: "insert into u values (7)", sqlState: "23503", condition: .foreignKeyViolation),
        Case(sql: "select 1 / 0", sqlState: "22012", condition: .invalidData),
        Case(sql: "select 'x'::int", sqlState: "22P02", condition: .invalidData),
        Case(sql: "selec", sqlState: "42601", condition: .other),
        Case(sql: "select f('40001')", sqlState: "40001", condition: .serializationFailure, isRetryable: true),
        Case(sql: "select f('53300')", sqlState: "53300", condition: .unavailable, isRetryable: true),
        Case(sql: "select f('MC001')", sqlState: "MC001", condition: .other),
    ])
    func `the server's errors are told apart by SQLSTATE`(wanted: Case) async throws {
        try await TestPostgres.withPool { pool in
            try await pool.withConnection { connection in
                try await connection.execute(
                    """
                    create table t (v int constraint t_key primary key constraint t_positive check (v > 0));
                    create table u (v int constraint u_to_t references t (v));
                    insert into t values (1);
                    create function f(state text) returns void language plpgsql as
                        $$ begin raise exception 'planned' using errcode = state, detail = 'why'; end $$;
                    """)
            }
            let error = try await #require(throws: PostgresError.self) {
                try await pool.query(PostgresStatement(wanted.sql))
            }
            #expect(error.code == .server)
            #expect(error.sqlState == wanted.sqlState)
            #expect(error.condition == wanted.condition)
            #expect(error.isRetryable == wanted.isRetryable)
            if wanted.sqlState == "23505" { #expect(error.constraint == "t_key") }
            if wanted.sqlState == "23502" { #expect(error.column == "v") }
            if wanted.sqlState == "MC001" {
                #expect(error.serverMessage == "planned")
                #expect(error.detail == "why")
            }
            // The connection is as good as before.
            #expect(try await pool.query(PostgresStatement("select 1"))[0].int4(0) == 1)
            #expect(pool.usage.connections == 1)
        }
    }

    @Test func `reading a column as what it is not is a decoding error`() async throws {
        try await TestPostgres.withPool { pool in
            let row = try await pool.query(PostgresStatement("select 1::int8, null::int4, 'x'::text"))[0]
            let reads: [(PostgresRow) throws -> Void] = [
                { row in _ = try row.int4(0) },
                { row in _ = try row.string(0) },
                { row in _ = try row.int4(1) },
                { row in _ = try row.bool(2) },
                { row in _ = try row.int4Array(2) },
                { row in _ = try row.string(3) },
                { row in _ = try row.string(-1) },
            ]
            for read in reads {
                let error = try #require(throws: PostgresError.self) { try read(row) }
                #expect(error.code == .decoding)
            }
        }
    }

    @Test func `a database that does not exist is refused at once`() async throws {
        try await TestPostgres.withDatabase { configuration in
            var wrong = configuration
            wrong.database = "no_such_database"
            let pool = testPool(wrong)
            let error = try await #require(throws: PostgresError.self) {
                try await pool.query(PostgresStatement("select 1"))
            }
            #expect(error.code == .connection)
            #expect(error.sqlState == "3D000")
            #expect(!error.isRetryable)
            await pool.shutdown()
        }
    }

    @Test func `a server that is not there is a retryable connection error at the deadline of the wait`() async throws {
        let pool = testPool(PostgresConfiguration(host: "/nonexistent", database: "x", user: "x"))
        let error = try await #require(throws: PostgresError.self) {
            try await pool.query(PostgresStatement("select 1"), deadline: .now() + .milliseconds(50))
        }
        #expect(error.code == .deadline)
        await pool.shutdown()
    }

    @Test(arguments: [
        ("connection to server failed: FATAL:  28P01: password authentication failed\nLOCATION:  auth.c:1\n", "28P01"),
        ("connection to server on socket failed: No such file or directory\n\tIs the server running?", nil),
        ("FATAL:  57P03: the database system is starting up", "57P03"),
    ])
    func `the SQLSTATE of a refused connection is found in its message`(message: String, wanted: String?) {
        #expect(LibPQConnection.sqlState(inVerbose: message) == wanted)
    }

    @Test func `the description of an error quotes no values`() {
        let error = PostgresError(.server, "invalid input \"secret\"", sqlState: "22P02", detail: "secret")
        #expect("\(error)" == "PostgresError(server, 22P02)")
    }

    @Test func `a parameter in text form with a zero byte is refused before it is sent`() throws {
        let error = try #require(throws: PostgresError.self) { try EncodedParameters([.numeric("1\0")]) }
        #expect(error.sqlState == "22021")
    }
}
