import CLibvirt
import Glibc
import Virtualization

extension LibvirtConnection {
    /// Calls `body` with the network, or returns nil when there is none of this name.
    func withNetwork<Result>(
        _ name: ResourceName, _ body: (OpaquePointer) throws(VirtualizationError) -> Result
    ) throws(VirtualizationError) -> Result? {
        guard let network = unsafe virNetworkLookupByName(pointer, name.rawValue) else {
            if LibvirtFailure.lastSaysMissing { return nil }
            throw LibvirtFailure.last("looking up the network")
        }
        defer { unsafe virNetworkFree(network) }
        return try unsafe body(network)
    }

    func defineNetwork(_ document: String) throws(VirtualizationError) {
        guard let network = unsafe virNetworkDefineXML(pointer, document) else {
            throw LibvirtFailure.last("defining the network")
        }
        unsafe virNetworkFree(network)
    }

    func description(ofNetwork network: OpaquePointer) throws(VirtualizationError) -> XMLScan {
        guard let text = unsafe virNetworkGetXMLDesc(network, 0) else {
            throw LibvirtFailure.last("reading the network")
        }
        defer { unsafe free(text) }
        return XMLScan(unsafe String(cString: text))
    }

    /// Starts the network, now and whenever the daemon starts.
    func startNetwork(_ network: OpaquePointer) throws(VirtualizationError) {
        guard unsafe virNetworkSetAutostart(network, 1) == 0 else { throw LibvirtFailure.last("starting the network") }
        if unsafe virNetworkIsActive(network) == 1 { return }
        guard unsafe virNetworkCreate(network) == 0 || virNetworkIsActive(network) == 1 else {
            throw LibvirtFailure.last("starting the network")
        }
    }

    func removeNetwork(_ network: OpaquePointer) throws(VirtualizationError) {
        if unsafe virNetworkIsActive(network) == 1, unsafe virNetworkDestroy(network) != 0 {
            throw LibvirtFailure.last("stopping the network")
        }
        guard unsafe virNetworkUndefine(network) == 0 else { throw LibvirtFailure.last("removing the network") }
    }

    /// Reserves `address` for `macAddress` in the network's DHCP, in place of whatever either had before.
    func reserve(
        _ address: String, for macAddress: String, in network: OpaquePointer
    ) throws(VirtualizationError) {
        let hosts = try unsafe description(ofNetwork: network).all("network/ip/dhcp/host")
        if hosts.contains(where: { $0.attributes["mac"] == macAddress && $0.attributes["ip"] == address }) { return }
        for host in hosts where host.attributes["mac"] == macAddress { try unsafe unreserve(host, in: network) }
        let rivals = hosts.filter { $0.attributes["mac"] != macAddress && $0.attributes["ip"] == address }
        if !rivals.isEmpty {
            // A domain that somebody removed without us has left its address behind.
            let inUse = try macAddressesInUse()
            guard rivals.allSatisfy({ !inUse.contains($0.attributes["mac"] ?? "") }) else {
                throw VirtualizationError(.conflict, "the address \(address) is reserved for another instance")
            }
            for rival in rivals { try unsafe unreserve(rival, in: network) }
        }
        try unsafe update(
            network, VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
            NetworkXML.reservation(macAddress: macAddress, address: address),
            unsafe targets(of: network).reduce(0, |))
    }

    func removeReservation(of macAddress: String, in network: OpaquePointer) throws(VirtualizationError) {
        for host in try unsafe description(ofNetwork: network).all("network/ip/dhcp/host")
        where host.attributes["mac"] == macAddress {
            try unsafe unreserve(host, in: network)
        }
    }

    /// From what runs and from what is kept, each by itself: either may lack it already.
    private func unreserve(_ host: XMLScan.Element, in network: OpaquePointer) throws(VirtualizationError) {
        let reservation = NetworkXML.reservation(
            macAddress: host.attributes["mac"] ?? "", address: host.attributes["ip"] ?? "")
        for target in unsafe targets(of: network) {
            do throws(VirtualizationError) {
                try unsafe update(network, VIR_NETWORK_UPDATE_COMMAND_DELETE, reservation, target)
            } catch  where error.code == .conflict {
                continue
            }
        }
    }

    /// What a change has to reach: the network as it is kept and, where it runs, as it runs.
    private func targets(of network: OpaquePointer) -> [UInt32] {
        unsafe virNetworkIsActive(network) == 1
            ? [VIR_NETWORK_UPDATE_AFFECT_CONFIG.rawValue, VIR_NETWORK_UPDATE_AFFECT_LIVE.rawValue]
            : [VIR_NETWORK_UPDATE_AFFECT_CONFIG.rawValue]
    }

    private func update(
        _ network: OpaquePointer, _ command: virNetworkUpdateCommand, _ host: XMLElement, _ flags: UInt32
    ) throws(VirtualizationError) {
        let result = unsafe virNetworkUpdate(
            network, command.rawValue, VIR_NETWORK_SECTION_IP_DHCP_HOST.rawValue, -1, host.serialized, flags)
        guard result == 0 else { throw LibvirtFailure.last("changing an address reservation") }
    }

    /// Names of the networks of ours.
    func networks() throws(VirtualizationError) -> [ResourceName] {
        var list: UnsafeMutablePointer<virNetworkPtr?>?
        let count = unsafe virConnectListAllNetworks(pointer, &list, 0)
        guard count >= 0, let networks = unsafe list else { throw LibvirtFailure.last("listing the networks") }
        defer {
            for index in 0..<Int(count) { if let network = unsafe networks[index] { unsafe virNetworkFree(network) } }
            unsafe free(networks)
        }
        return (0..<Int(count)).compactMap { index in
            guard let network = unsafe networks[index], let text = unsafe virNetworkGetName(network),
                let name = ResourceName(unsafe String(cString: text)), name.kind == .network
            else { return nil }
            return name
        }
    }
}
