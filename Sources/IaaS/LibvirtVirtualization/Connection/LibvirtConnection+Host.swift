import CLibvirt
import Glibc
import Virtualization

extension LibvirtConnection {
    func host() throws(VirtualizationError) -> (hypervisor: String, cores: Int, memory: Int64) {
        var info = virNodeInfo()
        guard unsafe virNodeGetInfo(pointer, &info) == 0 else { throw LibvirtFailure.last("reading the host") }
        var library: UInt = 0
        var hypervisor: UInt = 0
        guard unsafe virConnectGetLibVersion(pointer, &library) == 0,
            unsafe virConnectGetVersion(pointer, &hypervisor) == 0
        else { throw LibvirtFailure.last("reading the host's versions") }
        let kind = unsafe virConnectGetType(pointer).map { unsafe String(cString: $0) } ?? "unknown"
        return (
            "libvirt \(Self.version(library)), \(kind) \(Self.version(hypervisor))", Int(info.cpus),
            Int64(info.memory) * 1_024
        )
    }

    /// "Numeric values: major * 1,000,000 + minor * 1,000 + release."
    private static func version(_ number: UInt) -> String {
        "\(number / 1_000_000).\(number / 1_000 % 1_000).\(number % 1_000)"
    }

    /// Makes the filter, or makes it anew under its UUID, which changes running guests too.
    func defineFilter() throws(VirtualizationError) {
        guard let filter = unsafe virNWFilterDefineXML(pointer, FilterXML.element.serialized) else {
            throw LibvirtFailure.last("defining the network filter")
        }
        unsafe virNWFilterFree(filter)
    }

    /// Whether libvirt says that the host has KVM, which says nothing about whether it works.
    func claimsKVM() -> Bool {
        guard let text = unsafe virConnectGetCapabilities(pointer) else { return false }
        defer { unsafe free(text) }
        return XMLScan(unsafe String(cString: text)).all("capabilities/guest/arch/domain").contains {
            $0.attributes["type"] == "kvm"
        }
    }

    /// Starts a domain that vanishes when it ends. False when it does not start.
    func startTransient(_ document: String) -> Bool {
        guard let domain = unsafe virDomainCreateXML(pointer, document, VIR_DOMAIN_START_AUTODESTROY.rawValue) else {
            return false
        }
        unsafe virDomainFree(domain)
        return true
    }
}
