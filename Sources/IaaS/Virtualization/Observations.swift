/// The hypervisor's state of a domain.
package enum DomainState: String, Sendable, Hashable, Codable {
    case running
    case paused
    /// Asked to power off and not done yet.
    case shuttingDown = "shutting-down"
    case shutOff = "shut-off"
    /// Ended without being asked.
    case crashed
}

/// A domain of ours as the hypervisor has it now.
package struct InstanceObservation: Sendable, Hashable {
    package var name: ResourceName
    package var uuid: String
    package var state: DomainState
    package var virtualCPUs: Int
    /// In bytes.
    package var memory: Int64
    /// Whether it has run since the hypervisor began: false for one that a restart of the host has left off.
    package var hasRun: Bool

    package init(
        name: ResourceName, uuid: String, state: DomainState, virtualCPUs: Int, memory: Int64, hasRun: Bool = true
    ) {
        self.name = name
        self.uuid = uuid
        self.state = state
        self.virtualCPUs = virtualCPUs
        self.memory = memory
        self.hasRun = hasRun
    }
}

/// Everything of ours that the hypervisor holds, for drift and for finding orphans. Things that carry no name of ours are
/// not in it and are never touched.
package struct HostInventory: Sendable, Hashable {
    package var instances: [InstanceObservation]
    package var networks: [ResourceName]
    /// Volumes (disks and seeds) by the instance they belong to.
    package var volumes: [ResourceName]

    package init(instances: [InstanceObservation], networks: [ResourceName], volumes: [ResourceName]) {
        self.instances = instances
        self.networks = networks
        self.volumes = volumes
    }
}

/// A base image that instances can be made from.
package struct BaseImage: Sendable, Hashable, Codable {
    package var name: String
    /// Virtual size of the disk in bytes.
    package var disk: Int64
    /// The least memory it boots with, in bytes.
    package var memory: Int64
    /// Of the disk file, lower-case hexadecimal.
    package var sha256: String

    package init(name: String, disk: Int64, memory: Int64, sha256: String) {
        self.name = name
        self.disk = disk
        self.memory = memory
        self.sha256 = sha256
    }
}

/// What the host has.
package struct HostDescription: Sendable, Hashable {
    /// `libvirt 9.0.0, QEMU 7.2.22`.
    package var hypervisor: String
    package var cores: Int
    /// In bytes.
    package var memory: Int64
    /// Whether guests run on KVM; proven by a probe guest, never by the presence of /dev/kvm.
    package var isAccelerated: Bool

    package init(hypervisor: String, cores: Int, memory: Int64, isAccelerated: Bool) {
        self.hypervisor = hypervisor
        self.cores = cores
        self.memory = memory
        self.isAccelerated = isAccelerated
    }
}

/// Something that happened to a domain of ours.
package struct InstanceEvent: Sendable, Hashable {
    package var name: ResourceName
    package var state: DomainState

    package init(name: ResourceName, state: DomainState) {
        self.name = name
        self.state = state
    }
}
