import NIOCore
import PostgresDriver
import TestSupport
import Testing

@Suite struct TypeTests {
    @Test func `every parameter type comes back as it went in`() async throws {
        try await TestPostgres.withPool { pool in
            let uuid = "0b7cdb5e-9d0c-4a52-8f0e-3a1f5b6c7d8e"
            let row = try await pool.query(
                PostgresStatement(
                    """
                    select $1::bool, $2::int2, $3::int4, $4::int8, $5::float8, $6::text, $7::bytea, $8::text,
                        $9::timestamptz, $10::numeric, $11::uuid, $12::int4
                    """),
                [
                    .bool(true), .int2(-7), .int4(.min), .int8(.max), .float8(-0.1), .text("é 𠀀 🩺"),
                    .bytes([0, 255, 1]), .utf8(ByteBuffer(string: "utf8")), .timestamptz(1_700_000_000_123_456),
                    .numeric("-12345678901234567890.0100"), .uuid(uuid), .null,
                ])[0]
            #expect(try row.bool(0))
            #expect(try row.int2(1) == -7)
            #expect(try row.int4(2) == .min)
            #expect(try row.int8(3) == .max)
            #expect(try row.float8(4) == -0.1)
            #expect(try row.string(5) == "é 𠀀 🩺")
            #expect(try row.bytes(6) == [0, 255, 1])
            #expect(try row.buffer(7) == ByteBuffer(string: "utf8"))
            #expect(try row.timestamptz(8) == 1_700_000_000_123_456)
            #expect(try row.string(9) == "-12345678901234567890.0100")
            #expect(try row.string(10) == uuid)
            #expect(try row.optionalInt4(11) == nil)
        }
    }

    @Test func `every array type comes back as it went in`() async throws {
        try await TestPostgres.withPool { pool in
            let row = try await pool.query(
                PostgresStatement(
                    """
                    select $1::int2[], $2::int4[], $3::int8[], $4::bool[], $5::text[], $6::text[], $7::timestamptz[],
                        $8::numeric[], $9::int4[]
                    """),
                [
                    .int2Array([1, -2]), .int4Array([3]), .int8Array([.min, .max]), .boolArray([true, false]),
                    .textArray(["a", nil, "", "{\"x\\y"]), .utf8Array([ByteBuffer(string: "b"), nil]),
                    .timestamptzArray([0, nil, .max, .min]), .numericArray(["1.50", nil, "-3"]), .int4Array([]),
                ])[0]
            #expect(try row.int2Array(0) == [1, -2])
            #expect(try row.int4Array(1) == [3])
            #expect(try row.int8Array(2) == [.min, .max])
            #expect(try row.boolArray(3) == [true, false])
            #expect(try row.textArray(4) == ["a", nil, "", "{\"x\\y"])
            #expect(try row.bufferArray(5) == [ByteBuffer(string: "b"), nil])
            #expect(try row.timestamptzArray(6) == [0, nil, .max, .min])
            #expect(try row.numericArray(7) == ["1.50", nil, "-3"])
            #expect(try row.int4Array(8) == [])
        }
    }

    @Test(arguments: [
        "0", "0.00", "1", "-1", "10000", "0.0001", "0.00001", "123456789.987654321", "NaN", "100000000000000000000",
        "-0.5", "1e-30", "9999.9999",
    ])
    func `numbers keep the text that Postgres gives them`(number: String) async throws {
        try await TestPostgres.withPool { pool in
            let row = try await pool.query(
                PostgresStatement("select $1::numeric, ($1::numeric)::text"), [.numeric(number)])[0]
            #expect(try row.string(0) == row.string(1))
        }
    }

    @Test func `a transaction commits when its body returns`() async throws {
        try await TestPostgres.withPool { pool in
            try await pool.withConnection { connection in try await connection.execute("create table t (v int)") }
            try await pool.withTransaction { connection in
                try await connection.query(PostgresStatement("insert into t values ($1)"), [.int4(1)])
            }
            #expect(try await pool.query(PostgresStatement("select count(*) from t"))[0].int8(0) == 1)
        }
    }
}
