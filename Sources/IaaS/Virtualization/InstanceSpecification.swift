/// What a virtual machine is to be, with everything resolved: the driver asks nobody else.
package struct InstanceSpecification: Sendable, Hashable, Codable {
    /// The domain's name, and of its volumes and seed.
    package var name: ResourceName
    /// The domain's UUID, canonical lower-case text. Kept over every change.
    package var uuid: String
    package var virtualCPUs: Int
    /// In bytes, a multiple of 1 MiB.
    package var memory: Int64
    /// The base image that the disk overlays, by name (`probe`, `debian-12`).
    package var image: String
    /// Size of the overlay in bytes; at least the image's.
    package var disk: Int64
    package var network: ResourceName
    /// Six hexadecimal pairs, locally administered. Kept over every change.
    package var macAddress: String
    /// Reserved for the MAC address in the network's DHCP.
    package var address: String
    /// The guest's host name.
    package var hostName: String
    /// OpenSSH public keys, one line each.
    package var authorizedKeys: [String]

    package init(
        name: ResourceName, uuid: String, virtualCPUs: Int, memory: Int64, image: String, disk: Int64,
        network: ResourceName, macAddress: String, address: String, hostName: String, authorizedKeys: [String]
    ) {
        self.name = name
        self.uuid = uuid
        self.virtualCPUs = virtualCPUs
        self.memory = memory
        self.image = image
        self.disk = disk
        self.network = network
        self.macAddress = macAddress
        self.address = address
        self.hostName = hostName
        self.authorizedKeys = authorizedKeys
    }
}

/// A tenant's private IPv4 network on one host.
package struct NetworkSpecification: Sendable, Hashable, Codable {
    package var name: ResourceName
    /// Canonical, such as `10.40.1.0/24`; between /16 and /29. The first address is the host's, the rest are instances'.
    package var cidr: String

    package init(name: ResourceName, cidr: String) {
        self.name = name
        self.cidr = cidr
    }
}
