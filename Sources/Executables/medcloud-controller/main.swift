// The controller: makes the databases that the control database asks for. Runs as the operating-system user that Postgres
// lets in as superuser, and faces no network.
import ApplicationRegistry
import ClinicalData
import CloudModel
import CloudTelemetry
import Coordination
import DatabaseService
import EventBus
import Glibc
import Logging
import NIOCore
import NIOPosix
import PostgresDriver
import RegionalRecord
import ResourcePools
import SchemaMigration
import ServiceLifecycle
import TenantRegistry
import UnixSignals

/// `medcloud-controller --state DIR`; other options of the supervisor have no meaning here.
func stateDirectory(_ arguments: [String]) -> String? {
    guard let position = arguments.firstIndex(of: "--state"), position + 1 < arguments.count else { return nil }
    let directory = arguments[position + 1]
    return directory.hasPrefix("/") ? directory : nil
}

/// One line without buffering, for whoever started us.
func say(_ text: String, to descriptor: Int32) {
    let line = Array((text + "\n").utf8)
    _ = write(descriptor, line, line.count)
}

LoggingSystem.bootstrap { JSONLogHandler(label: $0) }
let logger = Logger(label: "medcloud-controller")

guard let directory = stateDirectory(CommandLine.arguments) else {
    say("usage: medcloud-controller --state DIR (an absolute path)", to: STDERR_FILENO)
    exit(64)
}

do {
    let state = RegionState(directory: directory)
    let key = try RegionKey.load(secrets: state.controllerSecrets)
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let controller = ControllerService(
        connections: ClusterConnections(state: state, eventLoopGroup: group, logger: logger),
        key: key,
        schemas: RegionSchemas(
            control: try .from(
                name: "control",
                embedded: TenantRegistryMigrations.files + ApplicationRegistryMigrations.files
                    + CoordinationMigrations.files + ResourcePoolMigrations.files),
            region: try .from(name: "region", embedded: RegionalRecordMigrations.files + EventBusMigrations.files),
            tenant: try .from(name: "tenant", embedded: TenantSchema.files)),
        extensions: .operatorRegistration(state: state, logger: logger),
        version: "1", process: getpid(),
        onReady: { say("ready", to: STDOUT_FILENO) },
        logger: logger)
    let services = ServiceGroup(
        configuration: .init(
            services: [.init(service: controller)], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await services.run()
    try await group.shutdownGracefully()
} catch {
    logger.critical("controller cannot run", metadata: ["error": "\(error)"])
    exit(1)
}
