// The private hypervisor of a region: libvirtd with its guests in namespaces of their own. Started by `medcloud up` as root.
import CloudTelemetry
import Glibc
import Logging
import PrivateHypervisor

LoggingSystem.bootstrap { JSONLogHandler(label: $0) }
let logger = Logger(label: "medcloud-hypervisor")

guard let options = HypervisorOptions(CommandLine.arguments) else {
    logger.critical("bad arguments", metadata: ["usage": "\(HypervisorOptions.usage)"])
    exit(64)
}

do {
    if options.isInside {
        try FirstProcess(options: options, logger: logger).run()
        exit(0)
    }
    exit(try NamespaceShell.run(options, executable: "/proc/self/exe"))
} catch {
    logger.critical("the hypervisor cannot run", metadata: ["error": "\(error)"])
    exit(1)
}
