import CloudModel
import PostgresDriver
package import SchemaMigration
package import TenantRegistry

/// Makes the roles and shared databases of both clusters, closes what Postgres leaves open to everybody, and brings every
/// database to this version. All of it may be run again at any time.
package struct ClusterBootstrap: Sendable {
    /// Owns every database and object; nobody can log in as it.
    package static let ownerRole = "medcloud_owner"
    /// What all tenants' gateway roles are members of, and what tenant tables are granted to.
    package static let tenantRole = "medcloud_tenant"
    /// What tenant databases are copied from.
    package static let templateDatabase = "medcloud_template"

    private let connections: ClusterConnections
    private let key: RegionKey
    private let schemas: RegionSchemas

    package init(connections: ClusterConnections, key: RegionKey, schemas: RegionSchemas) {
        self.connections = connections
        self.key = key
        self.schemas = schemas
    }

    /// Roles, databases and rights of the cluster of `control` and `region`; then their migrations.
    package func prepareControlCluster() async throws(DatabaseServiceError) {
        let gateway = ControlDatabase.gatewayRole
        do {
            try await connections.withConnection(cluster: ClusterConnections.control, database: "postgres") {
                connection in
                try await connection.execute(
                    Self.roleSQL(Self.ownerRole) + Self.roleSQL("control") + Self.roleSQL("region")
                        + Self.roleSQL(gateway))
                try await setPassword(of: gateway, on: connection)
                // The owner's functions reset these settings when they end; naming one in them needs a grant (PostgreSQL 15).
                try await connection.execute(
                    """
                    grant control, region to \(gateway);
                    grant set on parameter control.acting to \(Self.ownerRole);
                    grant set on parameter region.acting to \(Self.ownerRole);
                    """)
                for database in ["control", "region"] {
                    try await createDatabase(database, on: connection)
                    try await connection.execute(
                        """
                        revoke all on database \(database) from public;
                        grant connect on database \(database) to \(database);
                        """)
                }
                try await connection.execute(Self.lockdownSQL)
            }
            try await lockTemplate(cluster: ClusterConnections.control)
        } catch {
            throw DatabaseServiceError(.bootstrap, "the control cluster cannot be prepared", cause: error)
        }
        try await migrate(schemas.control, cluster: ClusterConnections.control, database: "control")
        try await migrate(schemas.region, cluster: ClusterConnections.control, database: "region")
    }

    /// Roles and the template of a cell; then the template's migrations.
    package func prepareCell(_ cell: String) async throws(DatabaseServiceError) {
        do {
            try await connections.withConnection(cluster: cell, database: "postgres") { connection in
                try await connection.execute(Self.roleSQL(Self.ownerRole) + Self.roleSQL(Self.tenantRole))
                try await createDatabase(Self.templateDatabase, on: connection)
                try await connection.execute(
                    "revoke all on database \(Self.templateDatabase) from public;" + Self.lockdownSQL)
            }
            try await lockTemplate(cluster: cell)
        } catch {
            throw DatabaseServiceError(.bootstrap, "\(cell) cannot be prepared", cause: error)
        }
        try await migrate(schemas.tenant, cluster: cell, database: Self.templateDatabase)
    }

    /// Brings a tenant's database to this version.
    func migrateTenant(_ database: String, cell: String) async throws(DatabaseServiceError) {
        try await migrate(schemas.tenant, cluster: cell, database: database)
    }

    /// Brings tenants' databases to this version, four at a time.
    package func migrateTenants(_ tenants: [TenantRecord]) async throws(DatabaseServiceError) {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, tenant) in tenants.enumerated() {
                    if index >= 4 { try await group.next() }
                    group.addTask { try await self.migrateTenant(tenant.database, cell: tenant.cell) }
                }
                try await group.waitForAll()
            }
        } catch let error as DatabaseServiceError {
            throw error
        } catch {
            throw DatabaseServiceError(.migration, "the tenants' databases were not all migrated", cause: error)
        }
    }

    // MARK: Parts

    /// Migrates one database as the owner of all objects. Nobody else may use its `public` schema.
    private func migrate(
        _ series: MigrationSeries, cluster: String, database: String
    ) async throws(DatabaseServiceError) {
        do {
            try await connections.withConnection(cluster: cluster, database: database) { connection in
                try await connection.execute("revoke all on schema public from public")
                try await Migrator(series).run(on: connection, role: Self.ownerRole)
            }
        } catch {
            throw DatabaseServiceError(
                .migration, "database \(database) cannot be brought to this version", cause: error)
        }
    }

    /// Databases that come with a cluster belong to the superuser alone.
    private static let lockdownSQL = """
        revoke all on database postgres from public;
        revoke all on database template1 from public;
        revoke all on schema public from public;
        """

    private func lockTemplate(cluster: String) async throws {
        try await connections.withConnection(cluster: cluster, database: "template1") { connection in
            try await connection.execute("revoke all on schema public from public")
        }
    }

    private static let databaseExists = PostgresStatement("select 1 from pg_database where datname = $1")

    private func createDatabase(_ name: String, on connection: PostgresConnection) async throws {
        guard try await connection.query(Self.databaseExists, [.text(name)]).isEmpty else { return }
        try await connection.execute(
            "create database \(name) owner \(Self.ownerRole) template template0 encoding 'UTF8'")
    }

    private static let storedPassword = PostgresStatement("select rolpassword from pg_authid where rolname = $1")

    /// Gives a role the password that follows from the region's key, unless it has it.
    private func setPassword(of role: String, on connection: PostgresConnection) async throws {
        let stored = try await connection.query(Self.storedPassword, [.text(role)]).first?.optionalString(0)
        if let stored, key.isPassword(of: role, verifier: stored) { return }
        try await connection.execute("alter role \(role) login password '\(key.scramVerifier(role: role))'")
    }

    /// A role without any power, unless it exists. Two may ask at once: the loser finds it there.
    static func roleSQL(_ name: String) -> String {
        """
        do $role$ begin
            if not exists (select from pg_catalog.pg_roles where rolname = '\(name)') then
                create role \(name) nologin nosuperuser nocreatedb nocreaterole noreplication nobypassrls inherit;
            end if;
        exception when duplicate_object or unique_violation then null;
        end $role$;

        """
    }
}
