import ApplicationRegistry
package import CloudIdentity
package import CloudModel
import Coordination
package import DatabaseService
import Foundation
import Logging
import NIOCore
import NIOPosix
package import PostgresDriver
import RegionController
import SchemaCatalog
package import SchemaMigration
import Synchronization
package import TenantRegistry

/// A region for tests: two private Postgres clusters with the product's own pg_hba, prepared by a controller that runs in the
/// test process. One is shared by all tests of the process; each test makes tenants of its own.
package final class TestRegion: Sendable {
    package let state: RegionState
    package let key: RegionKey
    /// The operator's key pair; its client is `operator`.
    package let operatorKey: SigningKey
    package let endpoints = IdentityEndpoints(baseURL: "http://127.0.0.1:1")
    package let schemas: RegionSchemas
    /// The control database as a gateway worker sees it.
    package let control: ControlDatabase
    private let controlCluster: TestPostgresCluster
    private let cellCluster: TestPostgresCluster
    private let controller = Mutex<Task<Void, any Error>?>(nil)
    private let count = Mutex(0)
    private static let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private static let sharedRegion = Task {
        let region = try await TestRegion()
        try await region.startController()
        // All suites of the process make their tenants here.
        let pool = region.superuser(cluster: ClusterConnections.control, database: "control", maximumConnections: 1)
        try await pool.withConnection {
            try await $0.execute(
                """
                create or replace function control.cell_capacity() returns integer language sql stable
                set search_path = pg_catalog, pg_temp as 'select 1000'
                """)
        }
        await pool.shutdown()
        return region
    }

    /// The process's region, with its controller at work.
    package static var shared: TestRegion {
        get async throws { try await sharedRegion.value }
    }

    /// A region of its own, without a controller, for tests that kill or restart something.
    package init() async throws {
        let directory =
            NSTemporaryDirectory() + "medcloud-test-postgres-\(getpid())-region-\(UInt32.random(in: 0 ... .max))"
        state = RegionState(directory: directory)
        TestPostgresExit.remember(directory)
        var generator = SystemRandomNumberGenerator()
        key = try RegionKey(bytes: (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
        operatorKey = .generate()
        schemas = try .current()
        for path in ["", "/run", "/run/control", "/run/cell-1"] { try Self.makeDirectory(directory + path) }
        control = Self.controlDatabase(state: state, key: key)
        let region = state
        async let first = Self.cluster("control", region)
        async let second = Self.cluster("cell-1", region)
        let clusters = try await (first, second)
        controlCluster = clusters.0
        cellCluster = clusters.1
    }

    deinit {
        controller.withLock { $0?.cancel() }
        TestPostgresExit.remove(state.directory)
    }

    private static func cluster(_ name: String, _ state: RegionState) async throws -> TestPostgresCluster {
        let access = state.directory + "/pg_hba.\(name)"
        // The product's rules, except that the superuser needs no peer: tests run as root or as anybody.
        try """
        local all        postgres trust
        local samerole   all      scram-sha-256
        local all        all      reject

        """.write(toFile: access, atomically: false, encoding: .utf8)
        return try await TestPostgres.cluster(settings: [
            "unix_socket_directories = '\(state.socketDirectory(cluster: name))'", "hba_file = '\(access)'",
        ])
    }

    private static func makeDirectory(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard getuid() == 0, let user = getpwnam("postgres") else { return }
        chown(path, user.pointee.pw_uid, user.pointee.pw_gid)
    }

    // MARK: Connections

    private var group: MultiThreadedEventLoopGroup { .singleton }

    package var connections: ClusterConnections {
        ClusterConnections(state: state, eventLoopGroup: group, logger: Self.logger)
    }

    /// Superuser connections; `cluster` is `control` or `cell-1`.
    package func superuser(cluster: String, database: String, maximumConnections: Int = 2) -> PostgresPool {
        connections.pool(cluster: cluster, database: database, maximumConnections: maximumConnections)
    }

    /// The control database as a new gateway worker opens it.
    package func controlDatabase() -> ControlDatabase {
        Self.controlDatabase(state: state, key: key)
    }

    private static func controlDatabase(state: RegionState, key: RegionKey) -> ControlDatabase {
        ControlDatabase(
            pool: PostgresPool(
                configuration: ControlDatabase.configuration(state: state, key: key), maximumConnections: 4,
                eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Self.logger),
            timeout: .seconds(60))
    }

    /// The region database as a new gateway worker opens it.
    package func regionDatabase(maximumConnections: Int = 4) -> RegionDatabase {
        RegionDatabase(
            pool: PostgresPool(
                configuration: RegionDatabase.configuration(state: state, key: key),
                maximumConnections: maximumConnections, leaseTimeout: .seconds(60), eventLoopGroup: group,
                logger: Self.logger),
            timeout: .seconds(60))
    }

    /// Tenant databases as a new gateway worker opens them.
    package func tenantDatabases() -> TenantDatabases {
        TenantDatabases(
            control: controlDatabase(), state: state, key: key, eventLoopGroup: group, logger: Self.logger)
    }

    /// Kills the Postgres of the control cluster and starts it again.
    package func crashControlCluster() throws {
        controlCluster.kill()
        try controlCluster.start()
    }

    // MARK: The controller

    /// A controller of this region; `onReady` is called when it leads.
    ///
    /// - Parameter schemas: of another build; nil are those of this.
    package func makeController(
        schemas: RegionSchemas? = nil, onReady: @escaping @Sendable () -> Void = {}
    ) -> ControllerService {
        let schemas = schemas ?? self.schemas
        let jwk = operatorKey.publicKey.json
        let connections = connections
        let work =
            ControllerWork(
                duties: [.assertionPurge],
                prepare: [{ try await OperatorRegistration.register(publicKey: jwk, on: $0) }])
            + .tenants(connections: connections, key: key, schemas: schemas)
        return ControllerService(
            connections: connections, key: key, schemas: schemas, work: work, version: "test", process: getpid(),
            onReady: onReady, logger: Self.logger)
    }

    /// Starts a controller and waits until it leads. It runs until ``stopController()``.
    ///
    /// - Parameter schemas: of another build; nil are those of this.
    package func startController(schemas: RegionSchemas? = nil) async throws {
        let (ready, signal) = AsyncStream.makeStream(of: Void.self)
        let service = makeController(schemas: schemas) { signal.finish() }
        let task = Task {
            defer { signal.finish() }
            try await service.run()
        }
        controller.withLock { $0 = task }
        for await _ in ready {}
        if try await control.controllerSeen(schemas: (schemas ?? self.schemas).mark) == nil { try await task.value }
    }

    /// Stops the controller and waits for its end.
    package func stopController() async throws {
        let task = controller.withLock { controller in
            defer { controller = nil }
            return controller
        }
        task?.cancel()
        try await task?.value
    }

    // MARK: Tenants

    /// A name no other test of the process uses.
    package func newTenantName() -> String {
        count.withLock { count in
            count += 1
            return "t\(count)"
        }
    }

    /// Makes a tenant and waits until it is ready.
    package func makeTenant() async throws -> TenantID {
        let name = newTenantName()
        try await control.createTenant(
            NewTenant(id: name, name: "Hospital \(name)", timeZone: "Asia/Shanghai", language: "zh-CN"), actor: "test")
        guard let id = TenantID(name) else { throw TestPostgresError(message: "bad name") }
        while true {
            guard let tenant = try await control.tenant(id), tenant.state == .provisioning else { return id }
            try await Task.sleep(for: .milliseconds(25))
        }
    }
}
