/// What a guest may send: frames from its own hardware address, with its own IPv4 address, and the questions of DHCP and ARP
/// by which it gets that. libvirt's own `clean-traffic` says much the same, but comes with a package that also makes a
/// network.
enum FilterXML {
    static let name = "medcloud-own-address"
    /// The same everywhere: libvirt refuses a filter of a known name under another UUID, and would make one up.
    static let uuid = "5b0e9c1a-6f0d-4c57-9d6e-2f1a7c3b8e40"

    static var element: XMLElement {
        XMLElement(
            "filter", ["name": name, "chain": "root"],
            [
                XMLElement("uuid", text: uuid),
                rule("drop", 100, XMLElement("mac", ["match": "no", "srcmacaddr": "$MAC"])),
                rule(
                    "accept", 200,
                    XMLElement(
                        "ip",
                        [
                            "srcmacaddr": "$MAC", "srcipaddr": "0.0.0.0", "protocol": "udp", "srcportstart": "68",
                            "dstportstart": "67",
                        ])),
                rule("accept", 210, XMLElement("ip", ["srcmacaddr": "$MAC", "srcipaddr": "$IP"])),
                rule("accept", 220, arp(from: "$IP")),
                rule("accept", 230, arp(from: "0.0.0.0")),
                rule("drop", 1_000, XMLElement("mac")),
            ])
    }

    private static func arp(from address: String) -> XMLElement {
        XMLElement("arp", ["srcmacaddr": "$MAC", "arpsrcmacaddr": "$MAC", "arpsrcipaddr": address])
    }

    private static func rule(_ action: String, _ priority: Int, _ what: XMLElement) -> XMLElement {
        XMLElement("rule", ["action": action, "direction": "out", "priority": String(priority)], [what])
    }
}
