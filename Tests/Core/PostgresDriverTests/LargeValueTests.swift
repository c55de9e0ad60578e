import NIOCore
import PostgresDriver
import TestSupport
import Testing

@Suite struct LargeValueTests {
    @Test func `a parameter of twenty megabytes goes out and comes back`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool in
            let size = 20 << 20
            let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                for index in 0..<size { buffer[index] = UInt8(truncatingIfNeeded: 97 + index % 26) }
                count = size
            }
            let row = try await pool.query(
                PostgresStatement("select length($1), $1"), [.utf8(ByteBuffer(bytes: bytes))])[0]
            #expect(try row.int4(0) == Int32(size))
            #expect(try row.buffer(1) == ByteBuffer(bytes: bytes))
        }
    }

    @Test func `a connection that carried a large value gives its buffers back by closing`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool in
            let backend = PostgresStatement("select pg_backend_pid()")
            let first = try await pool.query(backend)[0].int4(0)
            let large = String(repeating: "x", count: 5 << 20)
            try await pool.query(PostgresStatement("select length($1)"), [.text(large)])
            let second = try await pool.query(backend)[0].int4(0)
            try await pool.query(PostgresStatement("select repeat('x', $1)"), [.int4(5 << 20)])
            let third = try await pool.query(backend)[0].int4(0)
            #expect(Set([first, second, third]).count == 3)
            #expect(try await pool.query(backend)[0].int4(0) == third)
        }
    }

    @Test func `a batch of large writes and large reads does not lock up`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool in
            let text = String(repeating: "x", count: 2 << 20)
            let statement = PostgresStatement("select repeat($1, 2)")
            let results = try await pool.pipeline(Array(repeating: (statement, [.text(text)]), count: 8))
            for result in results { #expect(try result[0].buffer(0).readableBytes == 4 << 20) }
        }
    }

    @Test func `a hundred thousand rows are read`() async throws {
        try await TestPostgres.withPool { pool in
            let result = try await pool.query(
                PostgresStatement("select n, n::text from generate_series(1, $1) n"), [.int4(100_000)])
            #expect(result.count == 100_000)
            #expect(result.affectedRows == 100_000)
            #expect(result.commandTag == "SELECT 100000")
            #expect(try result[99_999].string(1) == "100000")
            #expect(result.columns.map(\.name) == ["n", "n"])
            var sum: Int64 = 0
            for row in result { sum += Int64(try row.int4(0)) }
            #expect(sum == 5_000_050_000)
        }
    }

    @Test func `COPY takes rows and refuses bad ones whole`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool in
            try await pool.withConnection { connection in
                try await connection.execute("create table t (n int, s text)")
                let chunks = (0..<100).map { chunk in
                    ByteBuffer(string: (0..<1000).map { row in "\(chunk * 1000 + row)\ttext \(row)\n" }.joined())
                }
                #expect(try await connection.copyIn("copy t from stdin", chunks) == 100_000)
                let error = await #expect(throws: PostgresError.self) {
                    try await connection.copyIn("copy t from stdin", [ByteBuffer(string: "1\tone\nx\ttwo\n")])
                }
                #expect(error?.sqlState == "22P02")
                let refused = await #expect(throws: PostgresError.self) {
                    try await connection.execute("copy t from stdin")
                }
                #expect(refused?.sqlState == "57014")
                #expect(try await connection.query(PostgresStatement("select count(*) from t"))[0].int8(0) == 100_000)
            }
        }
    }
}
