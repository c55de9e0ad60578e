import ApplicationRegistry
import BookingBlacklist
import ClinicalData
import CloudIdentity
import CloudModel
import CloudTelemetry
import EventBus
import Gateway
import Glibc
import HealthRecordExchange
import Logging
import ModuleKit
import NIOCore
import NIOPosix
import PostgresDriver
import RecordSharing
import RegionalRecord
import ResourcePools
import SchemaCatalog
import SchemaMigration
import ServiceLifecycle
import TenantRegistry
import UnixSignals

/// A gateway worker: builds its services in order, gives the modules to the gateway and runs until SIGTERM.
@main
struct Medcloudd {
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        IdleMemory.keepLargeBlocksApart()
        if CommandLine.arguments.dropFirst().first == "--version" {
            print("medcloudd \(Release.version)")
            return
        }
        do {
            let configuration = try WorkerConfiguration(
                arguments: Array(CommandLine.arguments.dropFirst()), environment: environment,
                cores: System.coreCount)
            try await run(configuration)
        } catch let failure as WorkerConfiguration.Failure {
            JSONLogHandler.standardError(Array("medcloudd: \(failure)\n".utf8))
            exit(64)
        } catch {
            JSONLogHandler.standardError(Array("medcloudd: cannot serve: \(error)\n".utf8))
            exit(1)
        }
    }

    private static func run(_ configuration: WorkerConfiguration) async throws {
        var logger = Logger(label: "medcloudd") { label in
            JSONLogHandler(label: label, level: configuration.logLevel)
        }
        logger[metadataKey: "worker"] = .string(configuration.worker)
        let log = logger
        let state = RegionState(directory: configuration.stateDirectory)
        let key = try RegionKey.load(secrets: state.gatewaySecrets)
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: configuration.eventLoops)

        // The control database, tokens and tenants.
        let controlPool = PostgresPool(
            configuration: ControlDatabase.configuration(state: state, key: key), eventLoopGroup: loops, logger: log)
        let control = ControlDatabase(pool: controlPool)
        let pools = ResourceAdministration(database: PoolDatabase(pool: controlPool))
        let endpoints = IdentityEndpoints(baseURL: configuration.baseURL)
        let applications = ApplicationDatabase(control: control)
        let keyRing = KeyRing(database: applications, key: key)
        let verifier = TokenVerifier(endpoints: endpoints, keys: keyRing)
        let descriptors = ProcessMetrics.raiseDescriptorLimit(to: 65_536)
        var databaseLimits = TenantDatabases.Limits()
        databaseLimits.connections = min(databaseLimits.connections, descriptors / 4)
        let databases = TenantDatabases(
            control: control, state: state, key: key, limits: databaseLimits, eventLoopGroup: loops, logger: log)
        let revocations = RevocationFeed(
            control: control, verifier: verifier, keyRing: keyRing, tenantDatabases: databases, logger: log)
        let identity = AuthorizationServer(
            database: applications, keyRing: keyRing, verifier: verifier, endpoints: endpoints, logger: log)
        let administration = TenantAdministration(
            control: control, database: applications, verifier: verifier, endpoints: endpoints)

        let operations = OperationAdministration(control: control)
        let feed = OperationFeed(control: control, operations: operations)

        // What leaves the tenants' databases, and the region's index that it feeds.
        let registry = MetricsRegistry()
        let region = RegionDatabase(
            pool: PostgresPool(
                configuration: RegionDatabase.configuration(state: state, key: key), maximumConnections: 16,
                eventLoopGroup: loops, logger: log))
        let today: @Sendable () -> String = { String(FHIRInstant.text(microsecondsSince1970()).prefix(10)) }
        let rule = configuration.barNoShows.map { noShows in
            BlacklistRule(
                noShows: noShows, withinMonths: configuration.barWithinMonths, barMonths: configuration.barMonths)
        }
        let consumers: [any EventConsumer] = [
            PatientIndexFeed(region: region, base: { endpoints.fhirBase($0) }, today: today),
            BlacklistFeed(region: region, rule: rule, base: { endpoints.fhirBase($0) }, today: today),
        ]
        let holder = "\(configuration.worker)-\(UInt64.random(in: 0 ... .max))"
        let outboxes = consumers.map { consumer in
            OutboxPump(
                consumer: consumer, region: region, control: control, databases: databases, holder: holder,
                metrics: OutboxMetrics(registry: registry, worker: configuration.worker, consumer: consumer.name),
                logger: log)
        }
        // What the region says and the tenants' databases have a copy of.
        let blacklistCopy = BlacklistCopy(region: region)
        let copies = RegionCopyPump(
            copy: blacklistCopy, region: region, control: control, databases: databases, holder: holder,
            metrics: OutboxMetrics(registry: registry, worker: configuration.worker, consumer: blacklistCopy.name),
            logger: log)

        // The modules.
        let modules: [any Module] = [
            HealthRecordExchange(
                cursorKey: key.derived(purpose: "cursor"),
                didWrite: { tenant in
                    for outbox in outboxes { outbox.committed(tenant) }
                })
        ]
        var sharing = SharingSettings()
        sharing.holderDeadline = .seconds(configuration.holderDeadline)
        sharing.tellsWithheld = configuration.tellsWithheld
        let regionModule = RecordSharing(
            region: SharingDatabase(region: region), blacklist: BlacklistDatabase(region: region), control: control,
            holders: databases,
            endpoints: endpoints, settings: sharing, cursorKey: key.derived(purpose: "sharing cursor"),
            now: microsecondsSince1970)
        let served: [any ServedModule] = modules + [regionModule]
        for module in served { try await module.provision() }

        // The edge.
        let limits = configuration.limits.fitting(
            descriptors: descriptors, reserved: databaseLimits.connections)
        ProcessMetrics.register(in: registry)
        let began = ContinuousClock.now
        let schemas = try RegionSchemas.current().mark
        let checks =
            [
                ReadinessCheck("control-database", logger: log) {
                    // The controller says so once every database is of these schemas, and that it lives.
                    guard let age = try await control.controllerSeen(schemas: schemas) else { return false }
                    return .seconds(age) <= ContinuousClock.now - began + controllerPause
                },
                ReadinessCheck("tokens") { verifier.isFresh },
            ]
            + served.map { module in
                ReadinessCheck(module.identifier, logger: log) {
                    try await module.validate()
                    return true
                }
            }
        let directory = CachedTenantDirectory(control: control) { try await applications.origins(of: $0) }
        let services = GatewayServices(
            limits: limits, endpoints: endpoints,
            routes: IdentityRoutes(server: identity, directory: directory, limits: limits).routes
                + TenantRoutes(
                    administration: administration, operations: operations,
                    ledger: IdempotencyLedger(control: control), limits: limits
                ).routes
                + OperationRoutes(
                    operations: operations, feed: feed, tokens: verifier, ledger: IdempotencyLedger(control: control)
                ).routes
                + SpecificationRoutes(
                    specifications: SpecificationAdministration(control: control), operations: operations,
                    ledger: IdempotencyLedger(control: control), limits: limits
                ).routes
                + RegionClientRoutes(
                    administration: administration, ledger: IdempotencyLedger(control: control), limits: limits
                ).routes
                + InstanceRoutes(
                    administration: pools, ledger: IdempotencyLedger(control: control), limits: limits
                ).routes
                + NetworkRoutes(
                    administration: pools, ledger: IdempotencyLedger(control: control), limits: limits
                ).routes
                + PoolRoutes(
                    administration: pools, ledger: IdempotencyLedger(control: control), limits: limits,
                    now: microsecondsSince1970
                ).routes
                + FeedRoutes(
                    feeds: OutboxFeeds(region: region), ledger: IdempotencyLedger(control: control)
                ).routes
                + HealthRoutes(checks: checks, registry: registry).routes
                + DescriptionRoutes(try OpenAPIDescription(baseURL: endpoints.baseURL)).routes,
            modules: modules, regionModule: regionModule, tokens: verifier, tenants: databases,
            directory: directory,
            metrics: GatewayMetrics(registry: registry, worker: configuration.worker),
            isSecure: configuration.certificateFile != nil, logger: log)
        let server = GatewayServer(
            services: services, socket: configuration.socket, tls: try configuration.tls, eventLoopGroup: loops)

        // Shutdown runs backwards: the server drains first, the databases close last.
        let background =
            [
                BackgroundService { await databases.run() }, BackgroundService { try await revocations.run() },
                BackgroundService { try await copies.run() },
                BackgroundService { await feed.run() }, BackgroundService { try await IdleMemory.run() },
            ]
            + outboxes.map { outbox in BackgroundService { try await outbox.run() } }
            + served.map { module in BackgroundService { try await module.run() } }
        var group = ServiceGroupConfiguration(
            services: (background.map { $0 as any Service } + [server]).map { .init(service: $0) },
            gracefulShutdownSignals: [.sigterm, .sigint], logger: log)
        group.maximumGracefulShutdownDuration = .seconds(30)
        try await ServiceGroup(configuration: group).run()
        for module in served.reversed() { await module.cleanUp() }
    }

    /// A controller that lives is seen more often than this.
    private static let controllerPause: Duration = .seconds(5)

    private static var environment: [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
            entry += 1
        }
        return variables
    }

    @Sendable private static func microsecondsSince1970() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }
}
