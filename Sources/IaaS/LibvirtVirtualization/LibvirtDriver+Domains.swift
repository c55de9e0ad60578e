import CLibvirt
import Logging
import Synchronization
package import Virtualization

extension LibvirtDriver {
    package func define(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await call { [self] connection throws(VirtualizationError) in
            let files = try files(of: instance, on: connection)
            let accelerator = try accelerator(on: connection)
            // The reservation comes first and goes first: as long as there is a domain, its address is its own.
            if connection.isSimulated {
                simulation.define(instance)
            } else {
                let isReserved: Void? = try unsafe connection.withNetwork(instance.network) {
                    network throws(VirtualizationError) in
                    try unsafe connection.reserve(instance.address, for: instance.macAddress, in: network)
                }
                guard isReserved != nil else {
                    throw VirtualizationError(.notFound, "there is no network \(instance.network)")
                }
            }
            try connection.defineDomain(
                DomainXML(instance: instance, accelerator: accelerator, files: files).element.serialized)
        }
    }

    package func start(_ name: ResourceName) async throws(VirtualizationError) {
        try await call { connection throws(VirtualizationError) in
            try unsafe connection.withExistingDomain(name) { domain throws(VirtualizationError) in
                if try unsafe connection.isActive(domain) { return }
                // A network that was stopped behind our back would refuse it.
                for network in try unsafe connection.networks(of: domain) {
                    try unsafe connection.withNetwork(network) { network throws(VirtualizationError) in
                        try unsafe connection.startNetwork(network)
                    }
                }
                guard unsafe virDomainCreate(domain) == 0 else {
                    let failure = LibvirtFailure.last("starting the domain")
                    // Somebody else was faster.
                    if try unsafe connection.isActive(domain) { return }
                    throw failure
                }
            }
        }
    }

    package func requestShutdown(_ name: ResourceName) async throws(VirtualizationError) {
        try await call { connection throws(VirtualizationError) in
            try unsafe connection.withExistingDomain(name) { domain throws(VirtualizationError) in
                guard try unsafe connection.isActive(domain) else { return }
                let flags = connection.isSimulated ? 0 : VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN.rawValue
                guard unsafe virDomainShutdownFlags(domain, flags) == 0 else {
                    let failure = LibvirtFailure.last("asking the guest to power off")
                    guard try unsafe connection.isActive(domain) else { return }
                    throw failure
                }
            }
        }
    }

    package func powerOff(_ name: ResourceName) async throws(VirtualizationError) {
        try await call { connection throws(VirtualizationError) in
            try unsafe connection.withExistingDomain(name) { domain throws(VirtualizationError) in
                try unsafe connection.powerOff(domain)
            }
        }
    }

    package func reboot(_ name: ResourceName) async throws(VirtualizationError) {
        try await call { connection throws(VirtualizationError) in
            try unsafe connection.withExistingDomain(name) { domain throws(VirtualizationError) in
                guard unsafe virDomainReboot(domain, 0) == 0 else { throw LibvirtFailure.last("rebooting the guest") }
            }
        }
    }

    package func undefine(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await call { [self] connection throws(VirtualizationError) in
            try unsafe connection.withDomain(instance.name) { domain throws(VirtualizationError) in
                try unsafe connection.powerOff(domain)
            }
            // Whether there is a domain or not: who defines it reserves first, and may have been interrupted in between.
            if connection.isSimulated {
                simulation.undefine(instance.name)
            } else {
                try unsafe connection.withNetwork(instance.network) { network throws(VirtualizationError) in
                    try unsafe connection.removeReservation(of: instance.macAddress, in: network)
                }
            }
            try unsafe connection.withDomain(instance.name) { domain throws(VirtualizationError) in
                guard unsafe virDomainUndefineFlags(domain, connection.undefineFlags) == 0 else {
                    throw LibvirtFailure.last("removing the domain")
                }
            }
            try unsafe connection.withPool(LibvirtStorage.instancePool) { pool throws(VirtualizationError) in
                try unsafe connection.deleteVolume(Self.file(of: instance.name, .consoleLog), in: pool)
            }
        }
    }

    package func state(of name: ResourceName) async throws(VirtualizationError) -> DomainState? {
        try await call { connection throws(VirtualizationError) in
            try unsafe connection.withDomain(name) { domain throws(VirtualizationError) in
                try unsafe connection.state(of: domain)
            }
        }
    }

    // MARK: Parts

    /// Paths of the instance's volumes; makes the console log, so that the hypervisor knows it as a volume.
    private func files(
        of instance: InstanceSpecification, on connection: LibvirtConnection
    ) throws(VirtualizationError) -> DomainXML.Files {
        var paths: [InstanceVolume: String] = [:]
        var base: String?
        try unsafe connection.withPool(LibvirtStorage.instancePool) { pool throws(VirtualizationError) in
            let log = Self.file(of: instance.name, .consoleLog)
            if try unsafe connection.withVolume(log, in: pool, { _ in true }) == nil {
                try unsafe connection.createVolume(StorageXML.raw(name: log, capacity: 0), in: pool)
            }
            for use in InstanceVolume.allCases {
                paths[use] = try unsafe connection.withVolume(Self.file(of: instance.name, use), in: pool) {
                    volume throws(VirtualizationError) in
                    if use == .disk {
                        base = try unsafe connection.description(ofVolume: volume).first("volume/backingStore/path")?
                            .text
                    }
                    return try unsafe connection.path(of: volume)
                }
            }
        }
        guard let disk = paths[.disk], let seed = paths[.seed], let log = paths[.consoleLog] else {
            throw VirtualizationError(.notFound, "the volumes of \(instance.name) are not there")
        }
        let kernel: (String, String)? =
            if let base, !connection.isSimulated { try kernel(ofBase: base, on: connection) } else { nil }
        return DomainXML.Files(disk: disk, seed: seed, consoleLog: log, kernel: kernel)
    }

    /// How guests run here; found out once.
    func accelerator(on connection: LibvirtConnection) throws(VirtualizationError) -> DomainXML.Accelerator {
        if connection.isSimulated { return .simulated }
        return try accelerator.withLock { known throws(VirtualizationError) in
            if let known { return known }
            let proven: DomainXML.Accelerator = try AccelerationProof.run(on: connection) ? .kvm : .emulated
            logger.info("guests will run", metadata: ["accelerator": "\(proven.rawValue)"])
            known = proven
            return proven
        }
    }
}

extension LibvirtConnection {
    func powerOff(_ domain: OpaquePointer) throws(VirtualizationError) {
        guard try unsafe isActive(domain) else { return }
        guard unsafe destroy(domain) else {
            let failure = LibvirtFailure.last("powering the domain off")
            guard try unsafe isActive(domain) else { return }
            throw failure
        }
    }

    /// False when it failed.
    func destroy(_ domain: OpaquePointer) -> Bool { unsafe virDomainDestroy(domain) == 0 }

    /// What belongs to a domain and goes with it; the test driver takes only some of it.
    var undefineFlags: UInt32 {
        let common = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE.rawValue | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA.rawValue
        return isSimulated ? common : common | VIR_DOMAIN_UNDEFINE_NVRAM.rawValue
    }
}
