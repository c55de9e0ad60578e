package import CloudModel
import Logging
package import NIOCore
package import PostgresDriver
import Synchronization

/// One tenant's database, opened with a ``TenantAccess``. Cheap to copy; use it within one request and let it go.
package struct TenantDatabase: Sendable {
    /// What it was opened with; goes into audit events.
    package let access: TenantAccess
    private let opened: OpenedDatabase

    init(access: TenantAccess, opened: OpenedDatabase) {
        self.access = access
        self.opened = opened
    }

    /// The tenant as it was when the database was opened by this process.
    package var tenant: TenantRecord { opened.tenant }

    /// Ordinary connections: writes, transactions, searches.
    package var pool: PostgresPool { opened.pool }

    /// The event loop's own connection for bounded point reads. Call it on that loop.
    package func pipeline(on eventLoop: any EventLoop) -> PostgresPipeline {
        opened.pipeline(on: eventLoop)
    }
}

/// What a process holds for one tenant database. Shared by all requests of that tenant.
final class OpenedDatabase: Sendable {
    let tenant: TenantRecord
    let pool: PostgresPool
    private let configuration: PostgresConfiguration
    private let budget: PostgresConnectionBudget
    private let logger: Logger
    private let lastUse: Atomic<UInt64>
    private let pipelines: Mutex<[ObjectIdentifier: PostgresPipeline]?>

    init(
        tenant: TenantRecord, configuration: PostgresConfiguration, limits: TenantDatabases.Limits,
        budget: PostgresConnectionBudget, eventLoopGroup: any EventLoopGroup, logger: Logger
    ) {
        self.tenant = tenant
        self.configuration = configuration
        self.budget = budget
        self.logger = logger
        pool = PostgresPool(
            configuration: configuration, maximumConnections: limits.connectionsPerTenant,
            idleTimeout: limits.connectionIdleTimeout, budget: budget, eventLoopGroup: eventLoopGroup, logger: logger)
        lastUse = Atomic(NIODeadline.now().uptimeNanoseconds)
        pipelines = Mutex([:])
    }

    /// The tenant is in use now.
    func touch() {
        lastUse.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed)
    }

    /// Nanoseconds since the last use.
    func idleTime(now: NIODeadline) -> UInt64 {
        let last = lastUse.load(ordering: .relaxed)
        return now.uptimeNanoseconds > last ? now.uptimeNanoseconds - last : 0
    }

    func pipeline(on eventLoop: any EventLoop) -> PostgresPipeline {
        let key = ObjectIdentifier(eventLoop)
        return pipelines.withLock { pipelines in
            if let pipeline = pipelines?[key] { return pipeline }
            let pipeline = PostgresPipeline(
                configuration: configuration, eventLoop: eventLoop, budget: budget, logger: logger)
            if pipelines == nil {
                // Closed in the meantime: the caller gets one that answers `closed`.
                pipeline.close()
            } else {
                pipelines?[key] = pipeline
            }
            return pipeline
        }
    }

    /// Closes every connection; what is still asked is answered with `closed`.
    func close() async {
        let open = pipelines.withLock { pipelines in
            defer { pipelines = nil }
            return pipelines
        }
        for pipeline in (open ?? [:]).values { pipeline.close() }
        await pool.shutdown()
    }
}
