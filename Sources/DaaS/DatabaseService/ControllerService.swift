package import Logging
package import PostgresDriver
import ServiceLifecycle
package import TenantRegistry

/// The controller: becomes the leader, prepares the clusters, and then keeps making true what the control database asks for.
///
/// One leads, by an advisory lock on a connection to the control cluster; the others wait for the lock. All steps may be
/// repeated, so a leader that is killed leaves nothing that the next one does not finish.
package final class ControllerService: Service {
    package struct Settings: Sendable {
        /// How often the control database is read when no notification comes.
        package var pollInterval: Duration = .milliseconds(250)
        /// How often the leader says that it lives.
        package var heartbeat: Duration = .seconds(1)
        /// How often what nobody needs any more is removed.
        package var purgeInterval: Duration = .seconds(60)
        /// Tenants made or removed at the same time.
        package var parallelTenants = 4

        package init() {}
    }

    /// Work in the control database that belongs to targets above this one.
    package struct Extensions: Sendable {
        /// After the migrations, before the first tenant is looked at; may be run again.
        package var prepare: @Sendable (PostgresConnection) async throws -> Void
        /// From time to time.
        package var purge: @Sendable (PostgresConnection) async throws -> Void

        package init(
            prepare: @escaping @Sendable (PostgresConnection) async throws -> Void = { _ in },
            purge: @escaping @Sendable (PostgresConnection) async throws -> Void = { _ in }
        ) {
            self.prepare = prepare
            self.purge = purge
        }
    }

    /// Serialises leaders; a number of our own choosing.
    private static let leaderLock: Int64 = 7_061_000

    private let connections: ClusterConnections
    private let key: RegionKey
    private let schemas: RegionSchemas
    private let extensions: Extensions
    private let settings: Settings
    private let version: String
    private let process: Int32
    private let onReady: @Sendable () -> Void
    private let logger: Logger

    /// - Parameters:
    ///   - version: shown in the controller's status row.
    ///   - process: the process id shown there.
    ///   - onReady: called when this controller leads and every database is of this version.
    package init(
        connections: ClusterConnections, key: RegionKey, schemas: RegionSchemas, extensions: Extensions = Extensions(),
        settings: Settings = Settings(), version: String, process: Int32,
        onReady: @escaping @Sendable () -> Void = {}, logger: Logger
    ) {
        self.connections = connections
        self.key = key
        self.schemas = schemas
        self.extensions = extensions
        self.settings = settings
        self.version = version
        self.process = process
        self.onReady = onReady
        self.logger = logger
    }

    /// Leads, or waits to lead, until cancelled or shut down.
    ///
    /// - Throws: ``DatabaseServiceError`` when the clusters cannot be prepared: a database of a newer version, no rights. A
    ///   Postgres that is away for a while is waited for.
    package func run() async throws {
        try await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await self.lead()
                } catch let error as DatabaseServiceError where !error.isTransient {
                    throw error
                } catch {
                    if Task.isCancelled { break }
                    self.logger.warning("controller starts over", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    private static let tryLock = PostgresStatement("select pg_try_advisory_lock($1)")
    private static let stillThere = PostgresStatement("select 1")

    private func lead() async throws {
        let pool = connections.pool(cluster: ClusterConnections.control, database: "postgres", maximumConnections: 1)
        do {
            try await pool.withConnection { connection in
                var waited = false
                while try await connection.query(Self.tryLock, [.int8(Self.leaderLock)]).first?.bool(0) != true {
                    if !waited { logger.info("another controller leads; waiting") }
                    waited = true
                    try await Task.sleep(for: .milliseconds(500))
                }
                try await work(leader: connection)
            }
        } catch {
            await pool.shutdown()
            throw error
        }
        await pool.shutdown()
    }

    private func work(leader: PostgresConnection) async throws {
        let control = try await prepare()
        let cell = connections.pool(
            cluster: ClusterConnections.cell, database: "postgres", maximumConnections: settings.parallelTenants)
        defer { onEnd() }
        do {
            let reconciler = Reconciler(
                control: ControllerDatabase(pool: control),
                provisioner: TenantProvisioner(pool: cell, key: key), parallelTenants: settings.parallelTenants,
                logger: logger)
            try await loop(reconciler, control: control, leader: leader)
        } catch {
            await cell.shutdown()
            await control.shutdown()
            throw error
        }
        await cell.shutdown()
        await control.shutdown()
    }

    private func onEnd() {
        logger.info("controller stops leading")
    }

    /// Brings both clusters to this version.
    private func prepare() async throws -> PostgresPool {
        let bootstrap = ClusterBootstrap(connections: connections, key: key, schemas: schemas)
        async let cell: Void = bootstrap.prepareCell(ClusterConnections.cell)
        try await bootstrap.prepareControlCluster()
        try await cell
        let control = connections.pool(cluster: ClusterConnections.control, database: "control", maximumConnections: 4)
        do {
            try await control.withConnection { try await extensions.prepare($0) }
            let database = ControllerDatabase(pool: control)
            try await bootstrap.migrateTenants(try await database.tenants().filter { $0.state == .ready })
            try await database.markSeen(version: version, process: process)
        } catch {
            await control.shutdown()
            throw error
        }
        logger.info("controller leads")
        onReady()
        return control
    }

    private func loop(_ reconciler: Reconciler, control: PostgresPool, leader: PostgresConnection) async throws {
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let interval = settings.pollInterval
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in control.listen("control_tenant") { wake.yield() }
            }
            group.addTask {
                while !Task.isCancelled {
                    wake.yield()
                    try await Task.sleep(for: interval)
                }
            }
            defer {
                group.cancelAll()
                wake.finish()
            }
            var seen = ContinuousClock.now
            var purged = ContinuousClock.now
            for await _ in wakes {
                try Task.checkCancellation()
                try await reconciler.pass()
                let now = ContinuousClock.now
                if now - seen >= settings.heartbeat {
                    seen = now
                    try await stillLeads(leader)
                    try await ControllerDatabase(pool: control).markSeen(version: version, process: process)
                }
                if now - purged >= settings.purgeInterval {
                    purged = now
                    try await ControllerDatabase(pool: control).purge()
                    try await control.withConnection { try await extensions.purge($0) }
                }
            }
        }
    }

    /// The lock lives as long as its connection.
    private func stillLeads(_ leader: PostgresConnection) async throws(DatabaseServiceError) {
        do {
            try await leader.query(Self.stillThere)
        } catch {
            throw DatabaseServiceError(.lostLeadership, "the connection that holds the lock was lost", cause: error)
        }
    }
}

extension DatabaseServiceError {
    /// Whether waiting may help: Postgres is away or starting, another controller is in the way.
    var isTransient: Bool {
        if code == .lostLeadership || code == .step { return true }
        switch cause {
        case let error as PostgresError: return error.isRetryable || error.code != .server
        case let error as TenantRegistryError: return error.code == .unavailable
        case let error as DatabaseServiceError: return error.isTransient
        default: return false
        }
    }
}
