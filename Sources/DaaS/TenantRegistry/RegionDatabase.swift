package import CloudModel
package import NIOCore
package import PostgresDriver

/// The gateway's side of the region database: what belongs to no single tenant. As in ``ControlDatabase``, its role may only
/// call functions, and each takes the acting tenant, which row security then holds it to.
package struct RegionDatabase: Sendable {
    package let pool: PostgresPool
    private let timeout: TimeAmount

    /// - Parameter timeout: how long one call may take.
    package init(pool: PostgresPool, timeout: TimeAmount = .seconds(10)) {
        self.pool = pool
        self.timeout = timeout
    }

    /// How a gateway worker connects to `region`.
    package static func configuration(state: RegionState, key: RegionKey) -> PostgresConfiguration {
        var configuration = PostgresConfiguration(
            host: state.socketDirectory(cluster: "control"), database: "region", user: ControlDatabase.gatewayRole,
            password: key.password(role: ControlDatabase.gatewayRole))
        configuration.applicationName = "medcloudd"
        return configuration
    }

    /// Calls one function of the region database.
    ///
    /// - Throws: `PostgresError`; the SQLSTATEs `MC…` are raised by the functions.
    @discardableResult
    package func call(_ statement: PostgresStatement, _ values: [PostgresValue]) async throws -> PostgresResult {
        try await pool.query(statement, values, deadline: .now() + timeout)
    }
}
