package import Coordination
import FoundationEssentials
package import Logging
import PostgresDriver
package import SchemaMigration
import ServiceLifecycle
package import TenantRegistry

/// The controller: becomes the leader, prepares the clusters, and then carries out operations and duties.
///
/// One leads, by a lease in the control database; the others wait for it. All steps may be repeated, so a leader that is
/// killed leaves nothing that the next one does not finish or take back.
package final class ControllerService: Service {
    package struct Settings: Sendable {
        /// How often the leader renews its lease.
        package var heartbeat: Duration = .seconds(1)
        /// How long a lease lasts without being renewed.
        package var lease: Duration = LeaderLease.duration
        /// How often what nobody needs any more is removed.
        package var purgeInterval: Duration = .seconds(60)
        package var operations = OperationEngine.Settings()

        package init() {}
    }

    /// Serialises the making of the control database in a new region; a number of our own choosing.
    private static let bootstrapLock: Int64 = 7_061_000

    private let connections: ClusterConnections
    private let key: RegionKey
    private let schemas: RegionSchemas
    private let work: ControllerWork
    private let settings: Settings
    private let version: String
    private let process: Int32
    private let onReady: @Sendable () -> Void
    private let logger: Logger

    /// - Parameters:
    ///   - version: shown in the row of the leader.
    ///   - process: the process id shown there.
    ///   - onReady: called when this controller leads and every database is of this version.
    package init(
        connections: ClusterConnections, key: RegionKey, schemas: RegionSchemas, work: ControllerWork,
        settings: Settings = Settings(), version: String, process: Int32,
        onReady: @escaping @Sendable () -> Void = {}, logger: Logger
    ) {
        self.connections = connections
        self.key = key
        self.schemas = schemas
        self.work = work
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
        do {
            try await leadAgainAndAgain()
        } catch {
            await cleanUp()
            throw error
        }
        await cleanUp()
    }

    /// In a task of its own, because this one may be cancelled.
    private func cleanUp() async {
        let work = work
        await Task { for step in work.cleanUp.reversed() { await step() } }.value
    }

    private func leadAgainAndAgain() async throws {
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

    // MARK: The lease

    private func lead() async throws {
        try await makeControlDatabase()
        try await connections.withConnection(cluster: ClusterConnections.control, database: "control") { session in
            let lease = try await wait(on: session)
            do {
                try await hold(lease, on: session)
            } catch {
                await resign(lease, on: session)
                throw error
            }
            await resign(lease, on: session)
        }
    }

    private func wait(on session: PostgresConnection) async throws -> LeaderLease {
        let holder = UUID().uuidString.lowercased()
        var hasWaited = false
        while true {
            let lease = try await LeaderLease.take(
                on: session, holder: holder, version: version, process: process, duration: settings.lease)
            if let lease { return lease }
            if !hasWaited { logger.info("another controller leads; waiting") }
            hasWaited = true
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// Works and renews the lease until either ends.
    private func hold(_ lease: LeaderLease, on session: PostgresConnection) async throws {
        let settings = settings
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await Task.sleep(for: settings.heartbeat)
                    try await lease.renew(on: session, duration: settings.lease)
                }
            }
            group.addTask { try await self.workAsLeader(term: lease.term) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Nothing of ours runs any more. In a task of its own, because this one may be cancelled.
    private func resign(_ lease: LeaderLease, on session: PostgresConnection) async {
        logger.info("controller stops leading", metadata: ["term": "\(lease.term)"])
        // When it fails, the end of the session or of the lease does it.
        await Task { try? await lease.resign(on: session) }.value
    }

    // MARK: Databases

    private static let lock = PostgresStatement("select pg_advisory_lock($1)")
    private static let hasControl = PostgresStatement("select 1 from pg_database where datname = 'control'")
    private static let hasLeadership = PostgresStatement("select to_regclass('control.leadership') is not null")

    private var bootstrap: ClusterBootstrap {
        ClusterBootstrap(connections: connections, key: key, schemas: schemas)
    }

    /// The lease is a row of the control database, which a new region does not have: then the first who comes makes it.
    private func makeControlDatabase() async throws {
        let cluster = ClusterConnections.control
        try await connections.withConnection(cluster: cluster, database: "postgres") { connection in
            if try await hasLease(connection) { return }
            try await connection.query(Self.lock, [.int8(Self.bootstrapLock)])
            if try await hasLease(connection) { return }
            try await bootstrap.prepareControlCluster()
        }
    }

    private func hasLease(_ connection: PostgresConnection) async throws -> Bool {
        guard try await !connection.query(Self.hasControl).isEmpty else { return false }
        return try await connections.withConnection(cluster: ClusterConnections.control, database: "control") {
            try await $0.query(Self.hasLeadership)[0].bool(0)
        }
    }

    /// Brings both clusters to this version.
    private func prepare(_ control: PostgresPool) async throws {
        async let cell: Void = bootstrap.prepareCell(ClusterConnections.cell)
        try await bootstrap.prepareControlCluster()
        try await cell
        for prepare in work.prepare {
            try await control.withConnection { try await prepare($0) }
        }
        try await bootstrap.migrateTenants(try await ControllerDatabase(pool: control).servedTenants())
    }

    // MARK: Work

    private func workAsLeader(term: Int64) async throws {
        try await connections.endProvisioning(cluster: ClusterConnections.cell)
        let control = connections.pool(cluster: ClusterConnections.control, database: "control", maximumConnections: 8)
        do {
            let leader = LeaderContext(control: control, fencingToken: term)
            try await leader.transaction {
                try await $0.query(Self.markUnprepared, [.int4(Int32(schemas.control.version))])
            }
            try await prepare(control)
            try await leader.transaction { try await $0.query(Self.markPrepared, [.text(schemas.mark)]) }
            logger.info("controller leads", metadata: ["term": "\(term)"])
            onReady()
            try await carryOut(leader)
        } catch {
            await control.shutdown()
            throw error
        }
        await control.shutdown()
    }

    /// A gateway of an earlier version stops at the migrations that are still to come; one of this version waits for its mark.
    private static let markUnprepared = PostgresStatement(
        """
        update control.leadership set prepared_at = null
        where (select max(version) from medcloud.schema_migration where series = 'control') < $1
        """)
    private static let markPrepared = PostgresStatement(
        "update control.leadership set prepared_at = clock_timestamp(), prepared_schemas = $1")

    private func carryOut(_ leader: LeaderContext) async throws {
        let engine = OperationEngine(
            leader: leader, handlers: work.handlers, settings: settings.operations, logger: logger)
        let purge = LeaderDuty("purge", every: settings.purgeInterval) { leader in
            try await engine.purge()
            try await leader.transaction { try await $0.query(Self.purgeInvalidations) }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await engine.run() }
            for duty in work.duties + [purge] {
                group.addTask { try await self.fulfil(duty, leader) }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private static let purgeInvalidations = PostgresStatement(
        "delete from control.invalidation where expires_at < now() - interval '1 minute'")

    private func fulfil(_ duty: LeaderDuty, _ leader: LeaderContext) async throws {
        while true {
            do {
                try await duty.run(leader)
            } catch {
                try Task.checkCancellation()
                if CoordinationError.isLostLeadership(error) { throw error }
                logger.warning("duty failed", metadata: ["duty": "\(duty.name)", "error": "\(error)"])
            }
            try await Task.sleep(for: duty.interval)
        }
    }
}

extension DatabaseServiceError {
    /// Whether waiting may help: Postgres is away or starting, another controller is in the way.
    var isTransient: Bool {
        if code == .step { return true }
        switch cause {
        case let error as PostgresError: return error.isRetryable || error.code != .server
        case let error as TenantRegistryError: return error.code == .unavailable
        case let error as DatabaseServiceError: return error.isTransient
        default: return false
        }
    }
}
