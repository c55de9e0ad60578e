package import PostgresDriver
package import TenantRegistry

/// One step of making or removing a tenant's database. Each may be repeated, and a sequence may be taken up again at its
/// beginning after it was cut off anywhere: what is done already is left as it is.
package enum ProvisioningStep: String, Sendable, Hashable, CaseIterable {
    /// The NOLOGIN role of the database's name: being its member is the right to enter.
    case createEntryRole = "create-entry-role"
    /// The gateway's login role for this database.
    case createGatewayRole = "create-gateway-role"
    /// The database, copied from the migrated template.
    case createDatabase = "create-database"
    /// Nobody but members of the entry role may connect.
    case closeDatabase = "close-database"

    /// The gateway cannot log in any more.
    case lockGatewayRole = "lock-gateway-role"
    case dropDatabase = "drop-database"
    case dropGatewayRole = "drop-gateway-role"
    case dropEntryRole = "drop-entry-role"

    package static let create: [ProvisioningStep] = [
        .createEntryRole, .createGatewayRole, .createDatabase, .closeDatabase,
    ]
    package static let delete: [ProvisioningStep] = [
        .lockGatewayRole, .dropDatabase, .dropGatewayRole, .dropEntryRole,
    ]
}

/// Makes and removes tenant databases in one cell.
package struct TenantProvisioner: Sendable {
    /// Superuser connections to database `postgres` of the cell.
    private let pool: PostgresPool
    private let key: RegionKey

    package init(pool: PostgresPool, key: RegionKey) {
        self.pool = pool
        self.key = key
    }

    /// Runs the steps in order.
    ///
    /// - Throws: ``DatabaseServiceError/Code/step``, naming the step.
    package func run(_ steps: [ProvisioningStep], for name: DatabaseName) async throws(DatabaseServiceError) {
        for step in steps {
            do {
                try await run(step, for: name)
            } catch {
                throw DatabaseServiceError(.step, step.rawValue, cause: error)
            }
        }
    }

    /// Runs one step.
    ///
    /// - Parameter fence: throws when another controller leads; asked on an open connection right before each change.
    package func run(
        _ step: ProvisioningStep, for name: DatabaseName, fence: @Sendable () async throws -> Void = {}
    ) async throws {
        // The name has passed DatabaseName's rule: letters and digits only.
        let database = quotedIdentifier(name.rawValue)
        let gateway = quotedIdentifier(name.gatewayRole)
        switch step {
        case .createEntryRole:
            try await execute(fence, ClusterBootstrap.roleSQL(name.rawValue))
        case .createGatewayRole:
            try await execute(
                fence,
                ClusterBootstrap.roleSQL(name.gatewayRole) + """
                    alter role \(gateway) login inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls
                        password '\(key.scramVerifier(role: name.gatewayRole))';
                    alter role \(gateway) set temp_file_limit = '4GB';
                    alter role \(gateway) set idle_in_transaction_session_timeout = '60s';
                    grant \(database), \(ClusterBootstrap.tenantRole) to \(gateway);
                    """)
        case .createDatabase:
            try await createDatabase(name, fence)
        case .closeDatabase:
            try await execute(
                fence,
                """
                revoke all on database \(database) from public;
                grant connect on database \(database) to \(database);
                """)
        case .lockGatewayRole:
            guard try await exists(Self.roleExists, name.gatewayRole) else { return }
            try await execute(fence, "alter role \(gateway) nologin")
        case .dropDatabase:
            try await pool.withConnection { connection in
                try await fence()
                // A creation that was cut off may still be under way and would end after this.
                try await connection.query(Self.endCreation, [.text("create database \(database) ")])
                try await connection.execute("drop database if exists \(database) with (force)")
            }
        case .dropGatewayRole:
            try await execute(fence, "drop role if exists \(gateway)")
        case .dropEntryRole:
            try await execute(fence, "drop role if exists \(database)")
        }
    }

    private static let roleExists = PostgresStatement("select 1 from pg_roles where rolname = $1")
    private static let databaseExists = PostgresStatement("select 1 from pg_database where datname = $1")
    // Waits for each end, five seconds at most.
    private static let endCreation = PostgresStatement(
        """
        select pg_terminate_backend(a.pid, 5000)
        from pg_stat_activity a
        where a.pid <> pg_backend_pid() and a.state = 'active' and position($1 in a.query) > 0
        """)

    private func exists(_ statement: PostgresStatement, _ name: String) async throws -> Bool {
        try await !pool.query(statement, [.text(name)], deadline: nil).isEmpty
    }

    private func createDatabase(_ name: DatabaseName, _ fence: () async throws -> Void) async throws {
        guard try await !exists(Self.databaseExists, name.rawValue) else { return }
        do {
            try await execute(
                fence,
                """
                create database \(quotedIdentifier(name.rawValue)) owner \(ClusterBootstrap.ownerRole)
                template \(ClusterBootstrap.templateDatabase) strategy wal_log
                """)
        } catch let error as PostgresError where error.sqlState == "42P04" {
            // Finished meanwhile by the connection of a controller that died.
        }
    }

    private func execute(_ fence: () async throws -> Void, _ sql: String) async throws {
        try await pool.withConnection { connection in
            try await fence()
            try await connection.execute(sql)
        }
    }

    private static let namesStatement = PostgresStatement(
        """
        select n.name, string_agg(distinct n.what, ' and ' order by n.what)
        from (
            select datname::text as name, 'a database' as what from pg_database where datname ~ '^t_[a-z2-7]{26}$'
            union all
            select regexp_replace(rolname, '_gw$', ''), 'roles' from pg_roles where rolname ~ '^t_[a-z2-7]{26}(_gw)?$'
        ) n
        group by n.name
        """)

    /// Every name of which the cell holds a database or a role, with which of them: `a database and roles`.
    package func namesPresent() async throws(DatabaseServiceError) -> [DatabaseName: String] {
        do {
            var names: [DatabaseName: String] = [:]
            for row in try await pool.query(Self.namesStatement, [], deadline: nil) {
                if let name = DatabaseName(try row.string(0)) { names[name] = try row.string(1) }
            }
            return names
        } catch {
            throw DatabaseServiceError(.step, "the cell's databases cannot be listed", cause: error)
        }
    }
}
