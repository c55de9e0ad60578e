import CLibvirt
import Glibc
import Virtualization

extension LibvirtConnection {
    /// Calls `body` with the domain, or returns nil when there is none of this name.
    func withDomain<Result>(
        _ name: ResourceName, _ body: (OpaquePointer) throws(VirtualizationError) -> Result
    ) throws(VirtualizationError) -> Result? {
        guard let domain = unsafe virDomainLookupByName(pointer, name.rawValue) else {
            if LibvirtFailure.lastSaysMissing { return nil }
            throw LibvirtFailure.last("looking up the domain")
        }
        defer { unsafe virDomainFree(domain) }
        return try unsafe body(domain)
    }

    /// As ``withDomain(_:_:)``, for calls that make no sense without it.
    func withExistingDomain<Result>(
        _ name: ResourceName, _ body: (OpaquePointer) throws(VirtualizationError) -> Result
    ) throws(VirtualizationError) -> Result {
        guard let result = try unsafe withDomain(name, body) else {
            throw VirtualizationError(.notFound, "there is no domain \(name)")
        }
        return result
    }

    func defineDomain(_ document: String) throws(VirtualizationError) {
        guard let domain = unsafe virDomainDefineXML(pointer, document) else {
            throw LibvirtFailure.last("defining the domain")
        }
        unsafe virDomainFree(domain)
    }

    /// Every domain of ours, with its state.
    func instances() throws(VirtualizationError) -> [InstanceObservation] {
        var list: UnsafeMutablePointer<virDomainPtr?>?
        let count = unsafe virConnectListAllDomains(pointer, &list, 0)
        guard count >= 0, let domains = unsafe list else { throw LibvirtFailure.last("listing the domains") }
        defer {
            for index in 0..<Int(count) { if let domain = unsafe domains[index] { unsafe virDomainFree(domain) } }
            unsafe free(domains)
        }
        var found: [InstanceObservation] = []
        for index in 0..<Int(count) {
            guard let domain = unsafe domains[index], let text = unsafe virDomainGetName(domain),
                let name = ResourceName(unsafe String(cString: text)), name.kind == .instance
            else { continue }
            do throws(VirtualizationError) {
                found.append(try unsafe observe(domain, name: name))
            } catch let error where error.code == .notFound {
                // It went away in between. One that cannot be read for another reason is not gone.
            }
        }
        return found
    }

    private func observe(_ domain: OpaquePointer, name: ResourceName) throws(VirtualizationError) -> InstanceObservation
    {
        var info = virDomainInfo()
        guard unsafe virDomainGetInfo(domain, &info) == 0 else { throw LibvirtFailure.last("reading the domain") }
        var uuid = [CChar](repeating: 0, count: Int(VIR_UUID_STRING_BUFLEN))
        guard unsafe virDomainGetUUIDString(domain, &uuid) == 0 else { throw LibvirtFailure.last("reading the domain") }
        let (state, hasRun) = try unsafe standing(of: domain)
        return InstanceObservation(
            name: name, uuid: String(decoding: uuid.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self),
            state: state, virtualCPUs: Int(info.nrVirtCpu), memory: Int64(info.maxMem) * 1_024, hasRun: hasRun)
    }

    func state(of domain: OpaquePointer) throws(VirtualizationError) -> DomainState {
        try unsafe standing(of: domain).state
    }

    private func standing(
        of domain: OpaquePointer
    ) throws(VirtualizationError) -> (state: DomainState, hasRun: Bool) {
        var state: Int32 = 0
        var reason: Int32 = 0
        guard unsafe virDomainGetState(domain, &state, &reason, 0) == 0 else {
            throw LibvirtFailure.last("reading the domain's state")
        }
        switch virDomainState(rawValue: UInt32(state)) {
        case VIR_DOMAIN_RUNNING, VIR_DOMAIN_BLOCKED: return (.running, true)
        case VIR_DOMAIN_PAUSED, VIR_DOMAIN_PMSUSPENDED: return (.paused, true)
        case VIR_DOMAIN_SHUTDOWN: return (.shuttingDown, true)
        case VIR_DOMAIN_CRASHED: return (.crashed, true)
        default:
            if reason == Int32(VIR_DOMAIN_SHUTOFF_CRASHED.rawValue) { return (.crashed, true) }
            // libvirt keeps no reason over its own start.
            return (.shutOff, reason != Int32(VIR_DOMAIN_SHUTOFF_UNKNOWN.rawValue))
        }
    }

    func isActive(_ domain: OpaquePointer) throws(VirtualizationError) -> Bool {
        let answer = unsafe virDomainIsActive(domain)
        guard answer >= 0 else { throw LibvirtFailure.last("reading the domain's state") }
        return answer == 1
    }

    func description(of domain: OpaquePointer) throws(VirtualizationError) -> XMLScan {
        guard let text = unsafe virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE.rawValue) else {
            throw LibvirtFailure.last("reading the domain")
        }
        defer { unsafe free(text) }
        return XMLScan(unsafe String(cString: text))
    }

    /// The networks of ours that a domain is attached to.
    func networks(of domain: OpaquePointer) throws(VirtualizationError) -> [ResourceName] {
        try unsafe description(of: domain).all("domain/devices/interface/source").compactMap {
            $0.attributes["network"].flatMap { ResourceName($0) }
        }
    }

    /// The networks that domains of any kind are attached to.
    func networksInUse() throws(VirtualizationError) -> Set<String> {
        let sources = try descriptions().flatMap { $0.all("domain/devices/interface/source") }
        return Set(sources.compactMap { $0.attributes["network"] })
    }

    /// The MAC addresses of domains of any kind.
    func macAddressesInUse() throws(VirtualizationError) -> Set<String> {
        let addresses = try descriptions().flatMap { $0.all("domain/devices/interface/mac") }
        return Set(addresses.compactMap { $0.attributes["address"] })
    }

    private func descriptions() throws(VirtualizationError) -> [XMLScan] {
        var list: UnsafeMutablePointer<virDomainPtr?>?
        let count = unsafe virConnectListAllDomains(pointer, &list, 0)
        guard count >= 0, let domains = unsafe list else { throw LibvirtFailure.last("listing the domains") }
        defer {
            for index in 0..<Int(count) { if let domain = unsafe domains[index] { unsafe virDomainFree(domain) } }
            unsafe free(domains)
        }
        var scans: [XMLScan] = []
        for index in 0..<Int(count) {
            guard let domain = unsafe domains[index] else { continue }
            do throws(VirtualizationError) {
                scans.append(try unsafe description(of: domain))
            } catch let error where error.code == .notFound {
                // It went away in between.
            }
        }
        return scans
    }
}
