import CloudModel
import DatabaseService
import Logging
import NIOCore
import NIOPosix
import PostgresDriver
import TenantRegistry
import TestSupport
import Testing

@Suite struct TenantProvisioningTests {
    private static let now = PostgresStatement("select medcloud.now()")

    /// Superuser connections to the cell, closed afterwards.
    private func withCell<R: Sendable>(
        of region: TestRegion, _ body: (PostgresPool) async throws -> R
    ) async throws -> R {
        let pool = region.superuser(cluster: "cell-1", database: "postgres")
        do {
            let result = try await body(pool)
            await pool.shutdown()
            return result
        } catch {
            await pool.shutdown()
            throw error
        }
    }

    /// How many databases and roles of a tenant the cell has: 3 when complete, 0 when gone.
    private func traces(of name: DatabaseName, _ pool: PostgresPool) async throws -> Int {
        let result = try await pool.query(
            PostgresStatement(
                """
                select (select count(*) from pg_database where datname = $1)
                     + (select count(*) from pg_roles where rolname in ($1, $1 || '_gw'))
                """), [.text(name.rawValue)], deadline: nil)
        return Int(try result[0].int8(0))
    }

    @Test func `a tenant gets a database that the gateway enters with its own role`() async throws {
        let region = try await TestRegion.shared
        let tenant = try await region.makeTenant()
        let databases = region.tenantDatabases()
        let access = TenantAccess(minting: tenant, origin: .token)
        #expect(databases.opened(access) == nil)
        let database = try await databases.open(access)
        #expect(try await database.pool.query(Self.now, [], deadline: nil).count == 1)
        #expect(databases.opened(access) != nil)
        let pipeline = database.pipeline(on: MultiThreadedEventLoopGroup.singleton.any())
        #expect(try await pipeline.query(Self.now, []).get().count == 1)
        await databases.shutdown()
        #expect(databases.opened(access) == nil)
    }

    @Test func `an idle tenant is closed and opens again`() async throws {
        let region = try await TestRegion.shared
        let access = TenantAccess(minting: try await region.makeTenant(), origin: .token)
        let databases = region.tenantDatabases()
        let before = try await databases.open(access)
        await databases.closeIdle(now: .now() + .seconds(60))
        #expect(databases.opened(access) != nil)
        await databases.closeIdle(now: .now() + .seconds(600))
        #expect(databases.opened(access) == nil)
        await #expect(throws: PostgresError.self) { try await before.pool.query(Self.now, [], deadline: nil) }
        let after = try await databases.open(access)
        #expect(try await after.pool.query(Self.now, [], deadline: nil).count == 1)
        await databases.shutdown()
    }

    @Test func `tenants asked for at once all become ready`() async throws {
        let region = try await TestRegion.shared
        let tenants = try await withThrowingTaskGroup(of: TenantID.self) { group in
            for _ in 0..<8 { group.addTask { try await region.makeTenant() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let records = try await region.control.tenants().filter { record in
            tenants.contains { $0.rawValue == record.id }
        }
        #expect(records.count == 8)
        #expect(records.allSatisfy { $0.state == .ready })
        #expect(Set(records.map(\.database)).count == 8)
    }

    @Test(arguments: 0...ProvisioningStep.create.count)
    func `making a tenant is finished from wherever it was cut off`(_ done: Int) async throws {
        let region = try await TestRegion.shared
        try await withCell(of: region) { pool in
            let provisioner = TenantProvisioner(pool: pool, key: region.key)
            let name = DatabaseName.random()
            try await provisioner.run(Array(ProvisioningStep.create.prefix(done)), for: name)
            try await provisioner.run(ProvisioningStep.create, for: name)
            #expect(try await traces(of: name, pool) == 3)
            #expect(try await provisioner.namesPresent().keys.contains(name))
            try await provisioner.run(ProvisioningStep.create, for: name)
            #expect(try await traces(of: name, pool) == 3)
            try await provisioner.run(ProvisioningStep.delete, for: name)
            #expect(try await traces(of: name, pool) == 0)
        }
    }

    @Test(arguments: 0...ProvisioningStep.delete.count, 0...ProvisioningStep.create.count)
    func `removing a tenant leaves nothing, however far it had come`(_ removed: Int, _ made: Int) async throws {
        let region = try await TestRegion.shared
        try await withCell(of: region) { pool in
            let provisioner = TenantProvisioner(pool: pool, key: region.key)
            let name = DatabaseName.random()
            try await provisioner.run(Array(ProvisioningStep.create.prefix(made)), for: name)
            try await provisioner.run(Array(ProvisioningStep.delete.prefix(removed)), for: name)
            try await provisioner.run(ProvisioningStep.delete, for: name)
            #expect(try await traces(of: name, pool) == 0)
        }
    }

    @Test func `a deleted tenant leaves no row, database or role, and its name is free again`() async throws {
        let region = try await TestRegion.shared
        let tenant = try await region.makeTenant()
        let record = try #require(try await region.control.tenant(tenant))
        let name = try #require(DatabaseName(record.database))
        try await region.control.deleteTenant(tenant, actor: "test")
        try await region.control.deleteTenant(tenant, actor: "test")
        await #expect(throws: TenantRegistryError.self) {
            try await region.tenantDatabases().open(TenantAccess(minting: tenant, origin: .token))
        }
        while try await region.control.tenant(tenant) != nil { try await Task.sleep(for: .milliseconds(20)) }
        let left = try await withCell(of: region) { try await traces(of: name, $0) }
        #expect(left == 0)
        try await region.control.createTenant(
            NewTenant(id: tenant.rawValue, name: "Again", timeZone: "UTC", language: "en"), actor: "test")
        #expect(try await region.control.tenant(tenant)?.database != record.database)
    }

    @Test func `a tenant goes once the last of what it has is gone`() async throws {
        let region = try await TestRegion.shared
        let tenant = try await region.makeTenant()
        let control = region.superuser(cluster: ClusterConnections.control, database: "control")
        func execute(_ sql: String) async throws { try await control.withConnection { try await $0.execute(sql) } }
        try await execute(
            """
            insert into control.network (tenant, name, resource, cidr, state, created_by)
            values ('\(tenant.rawValue)', 'lan', 'n-' || repeat('b', 26), '10.2.0.0/24', 'deleting', 'test')
            """)
        try await region.control.deleteTenant(tenant, actor: "test")
        let waits = PostgresStatement(
            """
            select count(*) from control.operation
            where tenant = $1 and kind = 'tenant.delete' and phase = 'running'
              and message = 'the tenant still has network lan'
            """)
        while try await control.query(waits, [.text(tenant.rawValue)])[0].int8(0) == 0 {
            try #require(try await region.control.tenant(tenant)?.state == .deleting)
            try await Task.sleep(for: .milliseconds(20))
        }
        try await execute("delete from control.network where tenant = '\(tenant.rawValue)'")
        while try await region.control.tenant(tenant) != nil { try await Task.sleep(for: .milliseconds(20)) }
        await control.shutdown()
    }

    @Test(arguments: [
        ("H1", "x", "UTC", "en"), ("region", "x", "UTC", "en"), ("1a", "x", "UTC", "en"), ("a-", "x", "UTC", "en"),
        ("a'b", "x", "UTC", "en"), ("", "x", "UTC", "en"), (String(repeating: "a", count: 32), "x", "UTC", "en"),
        ("bad1", "", "UTC", "en"), ("bad2", String(repeating: "n", count: 201), "UTC", "en"),
        ("bad3", "x", "Mars/Phobos", "en"), ("bad4", "x", "UTC'; drop table x", "en"), ("bad5", "x", "+08:00", "en"),
        ("bad6", "x", "UTC", "English"), ("bad7", "x", "UTC", "zh_CN"), ("bad8", "x", "", "en"),
        ("bad9", "x", "UTC", ""),
    ])
    func `a tenant with a bad value is refused and not made`(
        _ id: String, _ name: String, _ zone: String, _ language: String
    ) async throws {
        let region = try await TestRegion.shared
        await #expect {
            try await region.control.createTenant(
                NewTenant(id: id, name: name, timeZone: zone, language: language), actor: "test")
        } throws: { ($0 as? TenantRegistryError)?.code == .invalidValue }
        let tenants = try await region.control.tenants()
        #expect(!tenants.contains { $0.id == id })
    }

    @Test func `a second tenant of the same name is refused`() async throws {
        let region = try await TestRegion.shared
        let tenant = try await region.makeTenant()
        await #expect {
            try await region.control.createTenant(
                NewTenant(id: tenant.rawValue, name: "x", timeZone: "UTC", language: "en"), actor: "test")
        } throws: { ($0 as? TenantRegistryError)?.code == .conflict }
    }
}
