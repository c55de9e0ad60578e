import Virtualization

/// A tenant's network: a bridge of its own without a way out, with DHCP for reserved addresses only.
struct NetworkXML {
    let network: NetworkSpecification
    private let range: IPv4Range

    /// - Throws: ``VirtualizationError/Code/failed`` when the CIDR does not follow the rule of ``NetworkSpecification``.
    init(_ network: NetworkSpecification) throws(VirtualizationError) {
        guard let range = IPv4Range(cidr: network.cidr) else {
            throw VirtualizationError(.failed, "\(network.cidr) is no network between /16 and /29")
        }
        self.network = network
        self.range = range
    }

    var gateway: String { range.host(1) }
    var prefix: String { String(range.prefix) }

    /// "mc" and 60 of the name's random bits: the kernel takes 15 characters.
    static func bridge(of name: ResourceName) -> String { "mc" + name.rawValue.dropFirst(2).prefix(12) }

    var element: XMLElement {
        XMLElement(
            "network", [:],
            [
                XMLElement("name", text: network.name.rawValue),
                XMLElement("bridge", ["name": Self.bridge(of: network.name), "stp": "off", "delay": "0"]),
                XMLElement(
                    "ip", ["address": gateway, "prefix": prefix],
                    [
                        // Without a <range>, dnsmasq serves reservations only.
                        XMLElement("dhcp")
                    ]),
            ])
    }

    static func reservation(macAddress: String, address: String) -> XMLElement {
        XMLElement("host", ["mac": macAddress, "ip": address])
    }
}

/// An IPv4 network.
struct IPv4Range: Equatable {
    let base: UInt32
    let prefix: Int

    /// Nil unless the text is canonical, with a prefix of 16 to 29.
    init?(cidr: String) {
        let parts = cidr.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let prefix = Int(parts[1]), (16...29).contains(prefix), String(prefix) == parts[1],
            let base = Self.parse(String(parts[0])), base & (UInt32.max >> UInt32(prefix)) == 0
        else { return nil }
        self.base = base
        self.prefix = prefix
    }

    func host(_ number: UInt32) -> String { Self.text(base + number) }

    /// Nil unless the text is four decimal numbers without leading zeros.
    static func parse(_ text: String) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard let byte = UInt8(part), String(byte) == part else { return nil }
            value = value << 8 | UInt32(byte)
        }
        return value
    }

    private static func text(_ value: UInt32) -> String {
        [24, 16, 8, 0].map { String(value >> UInt32($0) & 0xFF) }.joined(separator: ".")
    }
}
