package import CloudModel
package import Logging
package import NIOCore
import PostgresDriver
import Synchronization

/// The tenant databases this process has open: opened on demand with a ``TenantAccess``, closed when idle, and
/// never more connections than a hard cap.
package final class TenantDatabases: Sendable {
    package struct Limits: Sendable {
        /// Connections into the cells at once, of all tenants together: the hard cap of this process.
        package var connections = 128
        /// Pooled connections for one tenant.
        package var connectionsPerTenant = 8
        /// A pooled connection unused for so long is closed.
        package var connectionIdleTimeout: Duration = .seconds(30)
        /// A tenant unused for so long is closed altogether.
        package var tenantIdleTimeout: Duration = .seconds(120)
        /// Statements run no longer than this.
        package var statementTimeout: Duration = .seconds(30)

        package init() {}
    }

    private let control: ControlDatabase
    private let state: RegionState
    private let key: RegionKey
    private let limits: Limits
    private let eventLoopGroup: any EventLoopGroup
    private let logger: Logger
    private let budget: PostgresConnectionBudget
    private let open = Mutex<[TenantID: OpenedDatabase]>([:])

    /// Opens nothing yet.
    package init(
        control: ControlDatabase, state: RegionState, key: RegionKey, limits: Limits = Limits(),
        eventLoopGroup: any EventLoopGroup, logger: Logger
    ) {
        self.control = control
        self.state = state
        self.key = key
        self.limits = limits
        budget = PostgresConnectionBudget(limit: limits.connections)
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
    }

    /// The database if this process has it open already: for the event loop, which cannot wait.
    package func opened(_ access: TenantAccess) -> TenantDatabase? {
        guard let database = open.withLock({ $0[access.tenant] }) else { return nil }
        database.touch()
        return TenantDatabase(access: access, opened: database)
    }

    /// Opens the tenant's database. Makes no connection yet; asks the control database only when the tenant is not open.
    ///
    /// - Throws: `unknown-tenant`, `tenant-not-ready`, `control-unavailable`.
    package func open(_ access: TenantAccess) async throws(TenantRegistryError) -> TenantDatabase {
        if let database = opened(access) { return database }
        guard let tenant = try await control.tenant(access.tenant) else {
            throw TenantRegistryError(.unknownTenant, "no such tenant")
        }
        guard tenant.state == .ready else {
            throw TenantRegistryError(.notReady, "the tenant is \(tenant.state.rawValue)")
        }
        guard let name = DatabaseName(tenant.database) else {
            throw TenantRegistryError(.failed, "the control database names an impossible database")
        }
        let database = OpenedDatabase(
            tenant: tenant, configuration: configuration(name, cell: tenant.cell), limits: limits,
            budget: budget, eventLoopGroup: eventLoopGroup, logger: logger)
        let winner = open.withLock { open in
            if let existing = open[access.tenant] { return existing }
            open[access.tenant] = database
            return database
        }
        if winner !== database { await database.close() }
        winner.touch()
        return TenantDatabase(access: access, opened: winner)
    }

    /// How this process enters a tenant's database: as that database's own role.
    private func configuration(_ name: DatabaseName, cell: String) -> PostgresConfiguration {
        var configuration = PostgresConfiguration(
            host: state.socketDirectory(cluster: cell), database: name.rawValue, user: name.gatewayRole,
            password: key.password(role: name.gatewayRole))
        configuration.applicationName = "medcloudd"
        configuration.statementTimeout = limits.statementTimeout
        return configuration
    }

    /// Closes the tenant's database here, because the tenant goes away or changes its place.
    package func close(_ tenant: TenantID) async {
        let database = open.withLock { $0.removeValue(forKey: tenant) }
        await database?.close()
    }

    /// How many tenants are open, for the metrics.
    package var count: Int { open.withLock { $0.count } }

    /// Closes idle tenants until cancelled, then all of them.
    package func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(5))
            await closeIdle(now: .now())
        }
        await shutdown()
    }

    /// Closes the tenants that were not used for ``Limits/tenantIdleTimeout``.
    package func closeIdle(now: NIODeadline) async {
        let limit = UInt64(limits.tenantIdleTimeout.components.seconds) * 1_000_000_000
        let idle = open.withLock { open in
            let idle = open.filter { $0.value.idleTime(now: now) > limit }
            for tenant in idle.keys { open[tenant] = nil }
            return Array(idle.values)
        }
        for database in idle { await database.close() }
    }

    /// Closes everything.
    package func shutdown() async {
        let all = open.withLock { open in
            defer { open = [:] }
            return Array(open.values)
        }
        for database in all { await database.close() }
    }
}
