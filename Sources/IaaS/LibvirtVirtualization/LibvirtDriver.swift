import CLibvirt
import Foundation
package import Logging
import Synchronization
package import Virtualization

/// Instances on a hypervisor that libvirt speaks to: `qemu+unix:///system?socket=…` (the private one of `medcloud up`),
/// `qemu:///system`, `qemu+tls://HOST/system`, and `test:///default`.
///
/// Calls are made on threads of their own and given up at a deadline. The connection is opened on first use and again after
/// the daemon was away; in between, calls fail as ``VirtualizationError/Code/unavailable``.
///
/// With `test:///default` nothing runs: domains change state at once, seeds are empty, there is no DHCP and no console
/// log (``VirtualizationError/Code/unsupported``). There is one image, `probe`, and a probe is answered with true while
/// a domain that was defined with that address runs. libvirt shares that state between the connections of one process and
/// drops it with the last; with `test:///PATH` of a file that says `<node/>`, each driver has its own.
package final class LibvirtDriver: VirtualizationDriver {
    let storage: LibvirtStorage
    let agentSocket: String?
    let logger: Logger
    /// The deadline of a call. Starting a guest on a starved host takes seconds.
    let deadline: Duration
    private let keeper: ConnectionKeeper
    private let threads = BlockingThreads()
    /// Probes wait for guests, so they have threads of their own.
    let probeThreads = BlockingThreads(count: 64)
    let accelerator = Mutex<DomainXML.Accelerator?>(nil)
    let simulation = Simulation()

    /// Does not connect yet.
    /// - Parameters:
    ///   - agentSocket: the Unix socket of the private hypervisor's agent; nil where guests are reached from here.
    package init(
        uri: String, agentSocket: String?, storage: LibvirtStorage = .embedded, deadline: Duration = .seconds(60),
        logger: Logger
    ) {
        self.storage = storage
        self.agentSocket = agentSocket
        self.logger = logger
        self.deadline = deadline
        keeper = ConnectionKeeper(uri: uri, logger: logger) { connection throws(VirtualizationError) in
            try connection.ensurePool(LibvirtStorage.imagePool, path: storage.images, isOurs: false)
            try connection.ensurePool(LibvirtStorage.instancePool, path: storage.instances, isOurs: true)
            if connection.isSimulated {
                try Simulation.prepare(connection)
            } else {
                try connection.defineFilter()
            }
        }
    }

    /// Keeps the connection, so that events come in without anybody asking. Ends when cancelled, and closes the driver.
    package func run() async {
        while !Task.isCancelled {
            // The keeper logs what is wrong, and the next round tries again.
            _ = try? await call { _ in }
            try? await Task.sleep(for: .milliseconds(500))
        }
        keeper.close()
    }

    package var events: AsyncStream<InstanceEvent> { keeper.events() }

    /// Makes a blocking call on the connection.
    func call<Value: Sendable>(
        _ body: @escaping @Sendable (LibvirtConnection) throws(VirtualizationError) -> Value
    ) async throws(VirtualizationError) -> Value {
        try await threads.run(within: deadline) { [keeper] () throws(VirtualizationError) in
            try body(try keeper.current())
        }
    }

    // MARK: The host

    package func host() async throws(VirtualizationError) -> HostDescription {
        try await call { [self] connection throws(VirtualizationError) in
            let host = try connection.host()
            let isAccelerated = try accelerator(on: connection) == .kvm
            return HostDescription(
                hypervisor: host.hypervisor, cores: host.cores, memory: host.memory, isAccelerated: isAccelerated)
        }
    }

    package func inventory() async throws(VirtualizationError) -> HostInventory {
        try await call { connection throws(VirtualizationError) in
            let files = try unsafe connection.withPool(LibvirtStorage.instancePool) {
                pool throws(VirtualizationError) in
                try unsafe connection.volumes(in: pool)
            }
            let owners = files.compactMap { file -> ResourceName? in
                let parts = file.split(separator: ".", omittingEmptySubsequences: false)
                guard parts.count == 2, InstanceVolume(rawValue: String(parts[1])) != nil else { return nil }
                return ResourceName(String(parts[0]))
            }
            return HostInventory(
                instances: try connection.instances(), networks: try connection.networks(),
                volumes: Set(owners).sorted { $0.rawValue < $1.rawValue })
        }
    }

    // MARK: Networks

    package func ensureNetwork(_ network: NetworkSpecification) async throws(VirtualizationError) {
        let wanted = try NetworkXML(network)
        try await call { connection throws(VirtualizationError) in
            let isThere = try unsafe connection.withNetwork(network.name) { existing throws(VirtualizationError) in
                let address = try unsafe connection.description(ofNetwork: existing).first("network/ip")?.attributes
                guard address?["address"] == wanted.gateway, address?["prefix"] == wanted.prefix else {
                    throw VirtualizationError(.conflict, "the network \(network.name) is there with another range")
                }
                return true
            }
            if isThere == nil { try connection.defineNetwork(wanted.element.serialized) }
            try unsafe connection.withNetwork(network.name) { network throws(VirtualizationError) in
                try unsafe connection.startNetwork(network)
            }
        }
    }

    package func removeNetwork(_ name: ResourceName) async throws(VirtualizationError) {
        try await call { connection throws(VirtualizationError) in
            try unsafe connection.withNetwork(name) { network throws(VirtualizationError) in
                guard try !connection.networksInUse().contains(name.rawValue) else {
                    throw VirtualizationError(.inUse, "instances are attached to the network \(name)")
                }
                try unsafe connection.removeNetwork(network)
            }
        }
    }
}
