import PostgresDriver
import SchemaMigration
import TestSupport
import Testing

@Suite struct MigrationTests {
    private static let first = Migration(version: 1, name: "create_a", sql: "create table a (v int)")
    private static let second = Migration(
        version: 2, name: "fill_a", sql: "insert into a values (1); insert into a values (2)")

    private func series(_ migrations: [Migration]) throws -> MigrationSeries {
        try MigrationSeries(name: "test", migrations: migrations)
    }

    private func run(_ series: MigrationSeries, _ pool: PostgresPool, role: String? = nil) async throws -> [Int] {
        try await pool.withConnection { connection in try await Migrator(series).run(on: connection, role: role) }
    }

    @Test func `what is missing is applied and a second run does nothing`() async throws {
        try await TestPostgres.withPool { pool async throws in
            #expect(try await run(series([Self.first]), pool) == [1])
            #expect(try await run(series([Self.first, Self.second]), pool) == [2])
            #expect(try await run(series([Self.first, Self.second]), pool) == [])
            #expect(try await pool.query(PostgresStatement("select count(*) from a"))[0].int8(0) == 2)
        }
    }

    @Test func `a migration that was changed after it had been applied is refused`() async throws {
        try await TestPostgres.withPool { pool async throws in
            _ = try await run(series([Self.first]), pool)
            let changed = Migration(version: 1, name: "create_a", sql: "create table a (v bigint)")
            let error = await #expect(throws: MigrationError.self) { try await run(series([changed]), pool) }
            #expect(error?.code == .checksumChanged)
            #expect(error?.message.contains("version 1 (create_a) of the series test") == true)
        }
    }

    @Test func `a database of a newer program is refused`() async throws {
        try await TestPostgres.withPool { pool async throws in
            _ = try await run(series([Self.first, Self.second]), pool)
            let error = await #expect(throws: MigrationError.self) { try await run(series([Self.first]), pool) }
            #expect(error?.code == .databaseIsNewer)
        }
    }

    @Test func `a migration that fails leaves nothing of itself and keeps those before it`() async throws {
        try await TestPostgres.withPool { pool async throws in
            let broken = Migration(version: 2, name: "break", sql: "create table b (v int); select 1 / 0")
            let error = await #expect(throws: MigrationError.self) {
                try await run(series([Self.first, broken]), pool)
            }
            #expect(error?.code == .failed)
            #expect(error?.message.contains("22012") == true)
            let tables = try await pool.query(
                PostgresStatement("select to_regclass('a')::text, to_regclass('b')::text"))
            #expect(try tables[0].optionalString(0) == "a")
            #expect(try tables[0].optionalString(1) == nil)
            #expect(try await run(series([Self.first, Self.second]), pool) == [2])
        }
    }

    @Test func `runners at the same time apply each migration once`() async throws {
        try await TestPostgres.withPool(maximumConnections: 8) { pool async throws in
            let applied = try await withThrowingTaskGroup(of: [Int].self) { group in
                for _ in 0..<8 {
                    group.addTask { try await run(series([Self.first, Self.second]), pool) }
                }
                return try await group.reduce(into: []) { all, versions in all += versions }
            }
            #expect(applied.sorted() == [1, 2])
            let locks = PostgresStatement(
                "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"
            )
            #expect(try await pool.query(locks)[0].int8(0) == 0)
        }
    }

    @Test func `the role named owns what is made and is left afterwards`() async throws {
        try await TestPostgres.withPool(maximumConnections: 1) { pool async throws in
            try await pool.withConnection { connection async throws in
                try await connection.execute(
                    """
                    create role migration_owner;
                    grant create on schema public to migration_owner;
                    """)
                let name = try await connection.query(PostgresStatement("select quote_ident(current_database())"))[0]
                    .string(0)
                try await connection.execute("grant create on database \(name) to migration_owner")
            }
            _ = try await run(series([Self.first]), pool, role: "migration_owner")
            let owner = PostgresStatement(
                "select tableowner::text, current_user::text from pg_tables where tablename = 'a'")
            let row = try await pool.query(owner)[0]
            #expect(try row.string(0) == "migration_owner")
            #expect(try row.string(1) == "postgres")
            try await pool.withConnection { connection async throws in
                try await connection.execute("drop owned by migration_owner; drop role migration_owner")
            }
        }
    }

    @Test func `embedded files become a series in the order of their versions`() throws {
        let series = try MigrationSeries.from(
            name: "test",
            embedded: [("V0002__fill_a.sql", Array("select 2".utf8)), ("V0001__create_a.sql", Array("select 1".utf8))])
        #expect(series.migrations.map(\.name) == ["create_a", "fill_a"])
        #expect(series.version == 2)
        #expect(series.migrations[0].checksum == "822ae07d4783158bc1912bb623e5107cc9002d519e1143a9c200ed6ee18b6d0f")
    }

    @Test(arguments: [
        ["V0001__a.sql", "V0003__b.sql"], ["V0001__a.sql", "V0001__b.sql"], ["0001__a.sql"], ["V1.sql"],
        ["V0001__.sql"],
    ])
    func `files that do not make a series are refused`(names: [String]) {
        let error = #expect(throws: MigrationError.self) {
            try MigrationSeries.from(name: "test", embedded: names.map { name in (name, Array("select 1".utf8)) })
        }
        #expect(error?.code == .invalidSeries)
    }
}
