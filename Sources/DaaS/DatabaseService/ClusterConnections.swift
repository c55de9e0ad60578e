package import CloudModel
package import Logging
package import NIOCore
package import PostgresDriver

/// Superuser connections to the clusters of a region, by peer authentication on their sockets.
package struct ClusterConnections: Sendable {
    /// The cluster of `control` and `region`.
    package static let control = "control"
    /// The first cell.
    package static let cell = "cell-1"

    private let state: RegionState
    private let eventLoopGroup: any EventLoopGroup
    private let logger: Logger

    package init(state: RegionState, eventLoopGroup: any EventLoopGroup, logger: Logger) {
        self.state = state
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
    }

    /// A pool of superuser connections to one database.
    package func pool(cluster: String, database: String, maximumConnections: Int) -> PostgresPool {
        pool(cluster, database, "medcloud-controller", maximumConnections, leaseTimeout: PostgresPool.leaseTimeout)
    }

    private func pool(
        _ cluster: String, _ database: String, _ application: String, _ maximumConnections: Int, leaseTimeout: Duration
    ) -> PostgresPool {
        var configuration = PostgresConfiguration(
            host: state.socketDirectory(cluster: cluster), database: database, user: "postgres", password: nil)
        configuration.applicationName = application
        configuration.statementTimeout = .seconds(300)
        return PostgresPool(
            configuration: configuration, maximumConnections: maximumConnections, idleTimeout: .seconds(60),
            leaseTimeout: leaseTimeout, eventLoopGroup: eventLoopGroup, logger: logger)
    }

    // MARK: Provisioning

    private static let provisioning = "medcloud-provisioner"

    /// Connections that make and remove tenants' databases. At most four work at once in a cell; others wait their turn.
    package func provisioningPool(cluster: String) -> PostgresPool {
        pool(cluster, "postgres", Self.provisioning, 4, leaseTimeout: .seconds(60))
    }

    private static let endStatement = PostgresStatement(
        """
        select count(*) filter (where not pg_terminate_backend(pid, 10000))
        from pg_stat_activity
        where application_name = $1 and usename = 'postgres' and pid <> pg_backend_pid()
        """)

    /// Ends what earlier leaders still do in a cell, and waits for its end: what they were making exists afterwards or never
    /// will. Together with the check of the term on a connection that is open already, a leader that was stopped and wakes
    /// up changes nothing in the cell.
    ///
    /// - Throws: ``DatabaseServiceError/Code/step`` when a session does not end.
    func endProvisioning(cluster: String) async throws {
        let left = try await withConnection(cluster: cluster, database: "postgres") { connection in
            try await connection.query(Self.endStatement, [.text(Self.provisioning)])[0].int8(0)
        }
        guard left == 0 else { throw DatabaseServiceError(.step, "an earlier controller's session does not end") }
    }

    /// Runs `body` on one connection to a database and closes it. Nothing stays connected: a database that is a template
    /// cannot be copied while somebody is in it.
    package func withConnection<R: Sendable>(
        cluster: String, database: String, _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        let pool = pool(cluster: cluster, database: database, maximumConnections: 1)
        do {
            let result = try await pool.withConnection { try await body($0) }
            await pool.shutdown()
            return result
        } catch {
            await pool.shutdown()
            throw error
        }
    }
}
