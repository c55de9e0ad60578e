import CloudModel
import DatabaseService
import Logging
import NIOPosix
import PostgresDriver
import TenantRegistry
import TestSupport
import Testing

@Suite struct IsolationProbeTests {
    @Test func `a new tenant's role gets nowhere`() async throws {
        let region = try await TestRegion.shared
        let own = try #require(try await record(of: region))
        let other = try #require(try await record(of: region))
        let foreign = region.superuser(cluster: "cell-1", database: "postgres", maximumConnections: 1)
        let results = try await foreign.withConnection { connection in
            let backend = try await connection.query(PostgresStatement("select pg_backend_pid()"))[0].int4(0)
            return await IsolationProbes(
                own: PostgresConfiguration(
                    host: region.state.socketDirectory(cluster: "cell-1"), database: own.rawValue,
                    user: own.gatewayRole,
                    password: region.key.password(role: own.gatewayRole)),
                foreignDatabase: other.rawValue, foreignRole: other.gatewayRole, foreignBackend: backend,
                controlSocket: region.state.socketDirectory(cluster: "control")
            ).run(eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Logger(label: "test"))
        }
        await foreign.shutdown()
        #expect(results.count >= 24)
        for result in results {
            #expect(result.holds, "\(result.name): \(result.outcome)")
        }
    }

    private func record(of region: TestRegion) async throws -> DatabaseName? {
        let tenant = try await region.makeTenant()
        return try await region.control.tenant(tenant).flatMap { DatabaseName($0.database) }
    }
}
