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
        var configuration = PostgresConfiguration(
            host: state.socketDirectory(cluster: cluster), database: database, user: "postgres", password: nil)
        configuration.applicationName = "medcloud-controller"
        configuration.statementTimeout = .seconds(300)
        return PostgresPool(
            configuration: configuration, maximumConnections: maximumConnections, idleTimeout: .seconds(60),
            eventLoopGroup: eventLoopGroup, logger: logger)
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
