import CloudModel
import DatabaseService
import PostgresDriver
import SchemaMigration
import TenantRegistry
import TestSupport
import Testing

/// Regions of their own: these tests stop controllers and crash Postgres. One after the other, because each starts two
/// Postgres clusters and the machine may be small.
@Suite(.serialized) struct ControllerTests {
    @Test func `what was asked for while no controller ran is done by the next one`() async throws {
        let region = try await TestRegion()
        try await region.startController()
        let gone = try await region.makeTenant()
        try await region.stopController()
        try await region.control.deleteTenant(gone, actor: "test")
        let name = region.newTenantName()
        let new = try #require(TenantID(name))
        try await region.control.createTenant(
            NewTenant(id: name, name: "x", timeZone: "Europe/Berlin", language: "de"), actor: "test")
        #expect(try await region.control.tenant(new)?.state == .provisioning)
        try await region.startController()
        while try await region.control.tenant(new)?.state != .ready { try await Task.sleep(for: .milliseconds(20)) }
        while try await region.control.tenant(gone) != nil { try await Task.sleep(for: .milliseconds(20)) }
        try await region.stopController()
    }

    /// The version of a tenant's database.
    private func version(_ record: TenantRecord, _ region: TestRegion) async throws -> Int32 {
        let pool = region.superuser(cluster: ClusterConnections.cell, database: record.database, maximumConnections: 1)
        let version = try await pool.query(
            PostgresStatement("select max(version)::integer from medcloud.schema_migration where series = 'tenant'"),
            [],
            deadline: nil)[0].int4(0)
        await pool.shutdown()
        return version
    }

    @Test func `tenants that an earlier version half made, or was to remove, become ready in this one's schema`()
        async throws
    {
        let region = try await TestRegion()
        let older = RegionSchemas(
            control: region.schemas.control, region: region.schemas.region,
            tenant: try MigrationSeries(
                name: region.schemas.tenant.name, migrations: region.schemas.tenant.migrations.dropLast()))
        try await region.startController(schemas: older)
        let kept = try await region.makeTenant()
        try await region.stopController()
        // One whose removal will be refused, and one that is made as far as its database.
        try await region.control.deleteTenant(kept, actor: "test")
        let control = region.superuser(cluster: ClusterConnections.control, database: "control")
        try await control.withConnection {
            try await $0.execute(
                """
                insert into control.network (tenant, name, resource, cidr, state, created_by)
                values ('\(kept.rawValue)', 'lan', 'n-' || repeat('a', 26), '10.1.0.0/24', 'ready', 'test')
                """)
        }
        await control.shutdown()
        let name = region.newTenantName()
        let made = try #require(TenantID(name))
        try await region.control.createTenant(
            NewTenant(id: name, name: "x", timeZone: "UTC", language: "en"), actor: "test")
        let record = try #require(try await region.control.tenant(made))
        let cell = region.superuser(cluster: ClusterConnections.cell, database: "postgres")
        try await TenantProvisioner(pool: cell, key: region.key).run(
            [.createEntryRole, .createGatewayRole, .createDatabase], for: try #require(DatabaseName(record.database)))
        await cell.shutdown()
        #expect(try await version(record, region) == Int32(older.tenant.version))
        try await region.startController()
        for tenant in [kept, made] {
            while try await region.control.tenant(tenant)?.state != .ready {
                try await Task.sleep(for: .milliseconds(20))
            }
            let record = try #require(try await region.control.tenant(tenant))
            #expect(try await version(record, region) == Int32(region.schemas.tenant.version))
        }
        try await region.stopController()
    }

    @Test func `one controller leads, and another follows when it ends`() async throws {
        let region = try await TestRegion()
        try await region.startController()
        let (ready, signal) = AsyncStream.makeStream(of: Void.self)
        let second = region.makeController { signal.yield() }
        let task = Task { try await second.run() }
        _ = try await region.makeTenant()
        try await region.stopController()
        var iterator = ready.makeAsyncIterator()
        _ = await iterator.next()
        _ = try await region.makeTenant()
        task.cancel()
        try await task.value
    }

    @Test func `the controller survives a crash of the control cluster`() async throws {
        let region = try await TestRegion()
        try await region.startController()
        _ = try await region.makeTenant()
        try region.crashControlCluster()
        while true {
            do {
                _ = try await region.makeTenant()
                break
            } catch let error as TenantRegistryError where error.code == .unavailable {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        try await region.stopController()
    }
}
