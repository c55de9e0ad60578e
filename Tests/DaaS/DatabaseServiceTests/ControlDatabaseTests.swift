import CloudModel
import DatabaseService
import Logging
import NIOPosix
import PostgresDriver
import TenantRegistry
import TestSupport
import Testing

@Suite struct ControlDatabaseTests {
    private func gatewayPool(_ region: TestRegion, database: String = "control") -> PostgresPool {
        var configuration = ControlDatabase.configuration(state: region.state, key: region.key)
        configuration.database = database
        return PostgresPool(
            configuration: configuration, maximumConnections: 1, eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test"))
    }

    @Test(arguments: [
        "select * from control.tenant", "select * from control.client", "select sealed from control.signing_key",
        "insert into control.invalidation (kind, realm, expires_at) values ('tenant', 'x', now())",
        "update control.tenant set state = 'ready'", "delete from control.action", "select * from control.leadership",
        "select * from control.operation",
        "select control.invalidate('tenant', 'x', null, null, now())", "select control.serves('x')",
        "set role medcloud_owner", "create table control.x (a int)", "create table public.x (a int)",
        "create schema x", "create temporary table x (a int)", "select * from medcloud.schema_migration",
        "copy (select 1) to program 'true'", "alter function control.tenants(text, text) owner to medcloud_gateway",
    ])
    func `the gateway's role may only call functions`(_ sql: String) async throws {
        let pool = gatewayPool(try await TestRegion.shared)
        await #expect { try await pool.withConnection { try await $0.execute(sql) } } throws: {
            ($0 as? PostgresError)?.sqlState == "42501"
        }
        await pool.shutdown()
    }

    @Test(arguments: ["postgres", "template1"])
    func `the gateway's role enters control and region only`(_ database: String) async throws {
        let region = try await TestRegion.shared
        let closed = gatewayPool(region, database: database)
        await #expect(throws: PostgresError.self) {
            try await closed.withConnection { try await $0.execute("select 1") }
        }
        await closed.shutdown()
        let open = gatewayPool(region, database: "region")
        try await open.withConnection { try await $0.execute("select 1") }
        await open.shutdown()
    }

    @Test func `a cell takes as many tenants as it may hold, however many ask at once`() async throws {
        let region = try await TestRegion.shared
        // A cell of its own, whose tenants nobody makes: these rows are written past the function that begins the operation.
        let pool = region.superuser(cluster: ClusterConnections.control, database: "control", maximumConnections: 8)
        @Sendable func row(_ id: String) -> String {
            // A database's name is 26 characters of a-z2-7: digits that are not among them become letters.
            """
            insert into control.tenant (id, name, time_zone, language, database, cell, kind, state, created_by)
            values ('\(id)', 'x', 'UTC', 'en', 't_' || left(translate(md5('\(id)'), '0189', 'ghij'), 26), 'cell-77',
                'clinic', 'failed', 'test')
            """
        }
        try await pool.withConnection { connection in
            let room = try await connection.query(PostgresStatement("select control.cell_capacity()"))[0].int4(0)
            for number in 0..<(room - 2) { try await connection.execute(row("full-\(number)")) }
        }
        let outcomes = await withTaskGroup(of: String.self) { group in
            for number in 0..<8 {
                group.addTask {
                    do {
                        try await pool.withConnection { try await $0.execute(row("late-\(number)")) }
                        return "made"
                    } catch {
                        return (error as? PostgresError).map { TenantRegistryError($0).code.description } ?? "\(error)"
                    }
                }
            }
            return await group.reduce(into: [String]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == "made" } == 2)
        #expect(outcomes.count { $0 == "cell-full" } == 6)
        try await pool.withConnection {
            try await $0.execute("delete from control.tenant where cell = 'cell-77'")
            try await $0.execute(row("room-again"))
            try await $0.execute("delete from control.tenant where cell = 'cell-77'")
        }
        await pool.shutdown()
    }

    @Test func `a tenant acting sees its own row only`() async throws {
        let region = try await TestRegion.shared
        let mine = try await region.makeTenant()
        let other = try await region.makeTenant()
        let pool = gatewayPool(region)
        let statement = PostgresStatement("select id from control.tenants($1, $2)")
        func ids(_ acting: PostgresValue, _ only: PostgresValue) async throws -> [String] {
            try await pool.query(statement, [acting, only], deadline: nil).map { try $0.string(0) }
        }
        #expect(try await ids(.text(mine.rawValue), .null) == [mine.rawValue])
        #expect(try await ids(.text(mine.rawValue), .text(other.rawValue)) == [])
        #expect(try await ids(.text(""), .null) == [])
        #expect(try await ids(.null, .null) == [])
        #expect(try await ids(.text("region"), .null).count >= 2)
        // A setting made by the session itself does not survive the entry into a function.
        try await pool.withConnection { connection in
            try await connection.execute("set control.acting = 'region'")
            let rows = try await connection.query(statement, [.text(mine.rawValue), .null])
            #expect(rows.count == 1)
        }
        await pool.shutdown()
    }

    @Test func `only the region makes and removes tenants`() async throws {
        let region = try await TestRegion.shared
        let mine = try await region.makeTenant()
        let pool = gatewayPool(region)
        for sql in [
            "select control.create_tenant('\(mine)', 'x', 'evil', 'x', 'UTC', 'en', 't_aaaaaaaaaaaaaaaaaaaaaaaaaa', 'cell-1', 'clinic', '{}')",
            "select control.delete_tenant('\(mine)', 'x', '\(mine)')",
        ] {
            await #expect { try await pool.withConnection { try await $0.execute(sql) } } throws: {
                ($0 as? PostgresError)?.sqlState == "MC403"
            }
        }
        await pool.shutdown()
    }

    @Test func `every table with tenants' rows binds its owner, and every function pins its search path`() async throws
    {
        let region = try await TestRegion.shared
        let pool = region.superuser(cluster: "control", database: "control")
        let open = try await pool.query(
            PostgresStatement(
                """
                select relname from pg_class
                where relnamespace = 'control'::regnamespace and relkind in ('r', 'p')
                  and relname <> 'leadership'
                  and not (relrowsecurity and relforcerowsecurity)
                """), [], deadline: nil)
        #expect(try open.map { try $0.string(0) } == [])
        let loose = try await pool.query(
            PostgresStatement(
                """
                select p.proname from pg_proc p
                where p.pronamespace = 'control'::regnamespace
                  and (p.proowner <> 'medcloud_owner'::regrole
                       or not coalesce(p.proconfig, '{}') @> array['search_path=pg_catalog, pg_temp']
                       or p.proacl is null
                       or exists (select from aclexplode(p.proacl) where grantee = 0))
                """), [], deadline: nil)
        #expect(try loose.map { try $0.string(0) } == [])
        await pool.shutdown()
    }

    @Test func `the clusters can be prepared again`() async throws {
        let region = try await TestRegion.shared
        _ = try await region.makeTenant()
        let bootstrap = ClusterBootstrap(connections: region.connections, key: region.key, schemas: region.schemas)
        try await bootstrap.prepareControlCluster()
        let pool = region.superuser(cluster: "control", database: "control")
        try await bootstrap.migrateTenants(
            try await ControllerDatabase(pool: pool).tenants().filter { $0.state == .ready })
        await pool.shutdown()
    }

    @Test func `a sealed secret opens with its key and context only`() throws {
        let key = try RegionKey(bytes: Array(repeating: 7, count: 32))
        let other = try RegionKey(bytes: Array(repeating: 8, count: 32))
        let sealed = try key.seal([1, 2, 3], context: "a")
        #expect(try key.open(sealed, context: "a") == [1, 2, 3])
        #expect(throws: TenantRegistryError.self) { try key.open(sealed, context: "b") }
        #expect(throws: TenantRegistryError.self) { try other.open(sealed, context: "a") }
        #expect(throws: TenantRegistryError.self) { try RegionKey(bytes: [1]) }
        #expect(key.password(role: "x").count == 64)
        #expect(key.password(role: "x") != key.password(role: "y"))
        #expect(key.isPassword(of: "x", verifier: key.scramVerifier(role: "x")))
        #expect(!key.isPassword(of: "y", verifier: key.scramVerifier(role: "x")))
    }
}
