import ApplicationRegistry
import CloudModel
import Coordination
import Logging
import NIOCore
import NIOPosix
import PostgresDriver
import ResourcePools
import SchemaMigration
import TenantRegistry
import TestSupport
import Testing
import Virtualization

/// A control database of its own with a host, an image and two tenants, a fake hypervisor, and the way in of the gateway and
/// of the controller.
struct PoolFixture: Sendable {
    let pool: PostgresPool
    let gateway: PoolDatabase
    let driver = FakeHypervisor()
    let turns = InstanceTurns()

    static let tenant = TenantID("h1")!
    static let other = TenantID("h2")!
    static let quota = """
        {"instances": 10, "running": 10, "vcpus": 40, "memory": 10737418240, "storage": 107374182400, "networks": 4}
        """

    /// Roles belong to the cluster: one of our own, so that other suites' are not in the way.
    private static let cluster = Task {
        let cluster = try await TestPostgres.cluster()
        try await cluster.withDatabase { configuration in
            try await Self.withPool(configuration) { pool in
                try await pool.withConnection { connection in
                    try await connection.execute(
                        """
                        create role medcloud_owner;
                        create role medcloud_gateway login;
                        grant set on parameter control.acting to medcloud_owner;
                        """)
                }
            }
        }
        return cluster
    }

    private static func withPool<R: Sendable>(
        _ configuration: PostgresConfiguration, connections: Int = 24, _ body: (PostgresPool) async throws -> R
    ) async throws -> R {
        let pool = PostgresPool(
            configuration: configuration, maximumConnections: connections, leaseTimeout: .seconds(60),
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

    @discardableResult
    static func run<R: Sendable>(
        quota: String = quota, _ body: @Sendable (PoolFixture) async throws -> R
    ) async throws -> R {
        try await cluster.value.withDatabase { configuration in
            try await withPool(configuration) { pool in
                let series = try MigrationSeries.from(
                    name: "control",
                    embedded: TenantRegistryMigrations.files + ApplicationRegistryMigrations.files
                        + CoordinationMigrations.files + ResourcePoolMigrations.files)
                try await pool.withConnection { connection in
                    try await connection.execute(
                        """
                        do $grant$ begin
                            execute format('grant create on database %I to medcloud_owner', current_database());
                        end $grant$;
                        """)
                    try await Migrator(series).run(on: connection, role: "medcloud_owner")
                    try await connection.execute(
                        """
                        insert into control.tenant (id, name, time_zone, language, state, database, cell, created_by)
                        values ('h1', 'A', 'UTC', 'en', 'ready', 't_aaaaaaaaaaaaaaaaaaaaaaaaaa', 'cell-1', 'test'),
                               ('h2', 'B', 'UTC', 'en', 'ready', 't_baaaaaaaaaaaaaaaaaaaaaaaaa', 'cell-1', 'test');
                        insert into control.host (hypervisor, cores, memory, is_accelerated)
                        values ('fake 1', 2, 25769803776, false);
                        insert into control.image values ('probe', 16777216, 67108864, repeat('a', 64));
                        """)
                }
                var entry = configuration
                entry.user = "medcloud_gateway"
                return try await withPool(entry, connections: 64) { gatewayPool in
                    let fixture = PoolFixture(
                        pool: pool, gateway: PoolDatabase(pool: gatewayPool, timeout: .seconds(60)))
                    try await fixture.gateway.setQuota(quota, of: tenant, acting: nil, actor: "test")
                    try await fixture.gateway.setQuota(quota, of: other, acting: nil, actor: "test")
                    return try await body(fixture)
                }
            }
        }
    }

    // MARK: The gateway's side

    static func network(_ name: String = "lan", _ cidr: String = "10.40.1.0/24") -> String {
        #"{"name": "\#(name)", "cidr": "\#(cidr)"}"#
    }

    static func instance(
        _ name: String, vcpus: Int = 1, memory: Int = 128 << 20, disk: Int = 16 << 20, network: String = "lan",
        more: String = ""
    ) -> String {
        """
        {"name": "\(name)", "image": "probe", "vcpus": \(vcpus), "memory": \(memory), "disk": \(disk),
         "network": "\(network)"\(more.isEmpty ? "" : ", " + more)}
        """
    }

    /// Asks as the operator; the operation's id.
    @discardableResult
    func ask(_ request: PoolDatabase.Request, of tenant: TenantID = tenant) async throws(ResourcePoolError) -> String {
        try await gateway.ask(instance: request, of: tenant, acting: nil, actor: "test") ?? ""
    }

    /// A network that is ready.
    func makeNetwork(_ name: String = "lan", _ cidr: String = "10.40.1.0/24") async throws {
        let id = try await gateway.createNetwork(
            Self.network(name, cidr), of: Self.tenant, acting: nil, actor: "test")
        try await end(id)
    }

    func instance(_ name: String) async throws -> InstanceDescription? {
        try await gateway.instances(of: Self.tenant, name: name, acting: nil).first
    }

    /// Used, by dimension.
    func used(of tenant: TenantID = tenant) async throws -> [String: Int64] {
        Dictionary(
            uniqueKeysWithValues: try await gateway.quotas(of: tenant, acting: nil).map { ($0.dimension, $0.used) })
    }

    // MARK: The controller's side

    /// Ends an operation without an engine.
    func end(_ operation: String, _ phase: String = "succeeded") async throws {
        try await pool.query(
            PostgresStatement(
                """
                select control.finish_operation($1, $2, case when $2 = 'failed' then 'test' end,
                                                case when $2 = 'failed' then 'test' end)
                """), [.uuid(operation), .text(phase)])
    }

    /// The operation, once it has recorded the step from which it only goes forward.
    func begunForGood(_ operation: String) async throws -> String {
        try await pool.query(
            PostgresStatement("update control.operation set phase = 'running', irrevocable = true where id = $1"),
            [.uuid(operation)])
        return operation
    }

    /// Rows in which ledger, reservations and what there is differ.
    func differences() async throws -> [String] {
        try await pool.query(
            PostgresStatement(
                "select concat_ws(' ', tenant, dimension, used, reserved, counted) from control.recount()")
        ).map { try $0.string(0) }
    }

    func status(_ id: String) async throws -> OperationStatus {
        try OperationStatus(
            row: try await pool.query(
                PostgresStatement(
                    """
                    select \(OperationStatus.columns)
                    from control.operations('region', $1, null, null, null, null, null, 1)
                    """), [.uuid(id)])[0], from: 0)
    }

    /// The operation once it has ended.
    func ended(_ id: String) async throws -> OperationStatus {
        try await until("operation \(id) ends") {
            let status = try await status(id)
            return status.phase.isEnd ? status : nil
        }
    }

    private static let cancelStatement = PostgresStatement("select control.cancel_operation('region', 'test', $1)")

    func cancel(_ id: String) async throws {
        try await pool.query(Self.cancelStatement, [.uuid(id)])
    }

    /// Waits until the operation is at this step.
    func reaches(_ id: String, step: String) async throws {
        try await until("operation \(id) is at \(step)") { try await status(id).step == step ? true : nil }
    }

    /// A network and an instance, ready, made by the engine at work.
    @discardableResult
    func makeInstance(_ name: String = "one", more: String = "") async throws -> AskedInstance {
        let network = try await gateway.createNetwork(Self.network(), of: Self.tenant, acting: nil, actor: "test")
        #expect(try await ended(network).phase == .succeeded)
        let id = try await ask(.create(Self.instance(name, more: more)))
        #expect(try await ended(id).phase == .succeeded)
        return try await asked(name)
    }

    /// As the controller has it.
    func asked(_ name: String) async throws -> AskedInstance {
        // Reading needs no term.
        let store = PoolStore(leader: LeaderContext(control: pool, fencingToken: 0))
        return try #require(try await store.instances().first { $0.name == name })
    }

    struct Late: Error, CustomStringConvertible {
        let description: String
    }

    /// Asks again and again until there is an answer, for thirty seconds.
    @discardableResult
    func until<R>(_ what: String, _ body: () async throws -> R?) async throws -> R {
        let end = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < end {
            if let result = try await body() { return result }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw Late(description: "not within 30 s: \(what)")
    }

    /// Leads while `body` runs.
    @discardableResult
    func withLeader<R: Sendable>(_ body: @Sendable (LeaderContext) async throws -> R) async throws -> R {
        let pool = pool
        return try await pool.withConnection { session in
            let lease = try await LeaderLease.take(
                on: session, holder: "00000000-0000-4000-8000-000000000000", version: "test", process: 1,
                duration: .seconds(120))
            guard let lease else { throw Late(description: "somebody else leads") }
            // The session goes back to its pool and lives on, so the lease is given back by hand.
            let resign = PostgresStatement("select control.resign_leadership($1)")
            do {
                let result = try await body(LeaderContext(control: pool, fencingToken: lease.term))
                try await session.query(resign, [.int8(lease.term)])
                return result
            } catch {
                _ = try? await session.query(resign, [.int8(lease.term)])
                throw error
            }
        }
    }

    /// Leads and carries out operations while `body` runs, on the hypervisor in memory unless another is given.
    @discardableResult
    func withEngine<R: Sendable>(
        on driver: (any VirtualizationDriver)? = nil, _ body: @Sendable (LeaderContext) async throws -> R
    ) async throws -> R {
        let driver = driver ?? self.driver
        return try await withLeader { leader in
            var settings = OperationEngine.Settings()
            settings.interval = .milliseconds(100)
            let engine = OperationEngine(
                leader: leader, handlers: ComputeOperation.all(driver: driver, turns: turns), settings: settings,
                logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await engine.run() }
                let result = try await body(leader)
                group.cancelAll()
                try? await group.waitForAll()
                return result
            }
        }
    }
}
