import Foundation
import Virtualization

/// Proves that KVM works by a guest that runs on it: its boot sector switches the machine off, and it is gone within
/// seconds, or it never was.
struct AccelerationProof {
    static let name = ResourceName.accelerationProof
    static var volume: String { "\(name).seed" }

    /// `mov dx, 0x604; mov ax, 0x2000; out dx, ax; hlt`: ACPI's "sleep, type 0" in the register where SeaBIOS has put it on
    /// both of QEMU's PC machines.
    static var bootSector: [UInt8] {
        let code: [UInt8] = [0xBA, 0x04, 0x06, 0xB8, 0x00, 0x20, 0xEF, 0xF4]
        return code + [UInt8](repeating: 0, count: 510 - code.count) + [0x55, 0xAA]
    }

    /// Blocks for at most ten seconds. Removes what is left of a proof that was killed.
    static func run(on connection: LibvirtConnection) throws(VirtualizationError) -> Bool {
        try removeRemains(on: connection)
        guard connection.claimsKVM() else { return false }
        return try unsafe connection.withPool(LibvirtStorage.instancePool) { pool throws(VirtualizationError) in
            try unsafe connection.createVolume(StorageXML.raw(name: volume, capacity: 1 << 20), in: pool)
            // The file goes whatever happens; a failure to remove it would show in the inventory as an orphan.
            defer { try? unsafe connection.deleteVolume(volume, in: pool) }
            let path = try unsafe connection.withVolume(volume, in: pool) { volume throws(VirtualizationError) in
                try unsafe connection.upload(bootSector, to: volume)
                return try unsafe connection.path(of: volume)
            }
            guard let path, connection.startTransient(domain(bootSector: path).serialized) else { return false }
            let end = ContinuousClock.now + .seconds(10)
            while ContinuousClock.now < end {
                Thread.sleep(forTimeInterval: 0.05)
                if try unsafe connection.withDomain(name, { _ in }) == nil { return true }
            }
            _ = try unsafe connection.withDomain(name) { domain in unsafe connection.destroy(domain) }
            return false
        }
    }

    private static func removeRemains(on connection: LibvirtConnection) throws(VirtualizationError) {
        try unsafe connection.withDomain(name) { domain throws(VirtualizationError) in
            try unsafe connection.powerOff(domain)
        }
        try unsafe connection.withPool(LibvirtStorage.instancePool) { pool throws(VirtualizationError) in
            try unsafe connection.deleteVolume(volume, in: pool)
        }
    }

    private static func domain(bootSector path: String) -> XMLElement {
        XMLElement(
            "domain", ["type": DomainXML.Accelerator.kvm.rawValue],
            [
                XMLElement("name", text: name.rawValue),
                XMLElement("memory", ["unit": "MiB"], text: "16"),
                XMLElement("vcpu", text: "1"),
                XMLElement("os", [:], [XMLElement("type", ["arch": "x86_64", "machine": "pc"], text: "hvm")]),
                XMLElement("features", [:], [XMLElement("acpi")]),
                XMLElement("on_reboot", text: "destroy"),
                XMLElement("on_crash", text: "destroy"),
                XMLElement(
                    "devices", [:],
                    [
                        XMLElement(
                            "disk", ["type": "file", "device": "disk"],
                            [
                                XMLElement("driver", ["name": "qemu", "type": "raw"]),
                                XMLElement("source", ["file": path]),
                                XMLElement("target", ["dev": "hda", "bus": "ide"]),
                            ])
                    ]),
            ])
    }
}
