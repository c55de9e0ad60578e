// The controller: makes true what the control database asks for. Runs as the operating-system user that Postgres lets in as
// superuser, and faces no network.
import CloudTelemetry
import Glibc
import Logging
import NIOCore
import NIOPosix
import RegionController
import ServiceLifecycle
import UnixSignals

/// One line without buffering, for whoever started us.
func say(_ text: String, to descriptor: Int32) {
    let line = Array((text + "\n").utf8)
    _ = write(descriptor, line, line.count)
}

LoggingSystem.bootstrap { JSONLogHandler(label: $0) }
let logger = Logger(label: "medcloud-controller")

do {
    let configuration = try ControllerConfiguration(arguments: Array(CommandLine.arguments.dropFirst()))
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let controller = try RegionController.make(
        configuration, process: getpid(), eventLoopGroup: group, onReady: { say("ready", to: STDOUT_FILENO) },
        logger: logger)
    let services = ServiceGroup(
        configuration: .init(
            services: [.init(service: controller)], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await services.run()
    try await group.shutdownGracefully()
} catch let failure as ControllerConfiguration.Failure {
    say("medcloud-controller: \(failure)", to: STDERR_FILENO)
    exit(64)
} catch {
    logger.critical("controller cannot run", metadata: ["error": "\(error)"])
    exit(1)
}
