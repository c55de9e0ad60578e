import Foundation
import Logging
import NIOPosix
package import PostgresDriver

/// Private Postgres clusters for tests. One is shared by the whole test process and starts with the first use; each test
/// gets a database of its own.
package enum TestPostgres {
    private static let shared = Task { try await cluster() }

    /// A fresh database for `body`, dropped afterwards. The user is the superuser `postgres`.
    package static func withDatabase<R: Sendable>(
        _ body: @Sendable (PostgresConfiguration) async throws -> R
    ) async throws -> R {
        try await shared.value.withDatabase(body)
    }

    /// A fresh database and a pool on it, both gone afterwards.
    package static func withPool<R: Sendable>(
        maximumConnections: Int = 4, _ body: @Sendable (PostgresPool) async throws -> R
    ) async throws -> R {
        try await withDatabase { configuration in
            let pool = PostgresPool(
                configuration: configuration, maximumConnections: maximumConnections,
                leaseTimeout: .seconds(60),
                eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Logger(label: "test"))
            do {
                let result = try await body(pool)
                await pool.shutdown()
                return result
            } catch {
                await pool.shutdown()
                throw error
            }
        }
    }

    /// Makes and starts a separate cluster, for tests that kill or restart it. It is removed with the last reference, and
    /// with the test process at the latest.
    /// - Parameter settings: lines of postgresql.conf that win over the defaults (`fsync=off`).
    package static func cluster(settings: [String] = []) async throws -> TestPostgresCluster {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try TestPostgresCluster(settings: settings) })
            }
        }
    }
}
