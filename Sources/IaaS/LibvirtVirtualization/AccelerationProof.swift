import Foundation
import Virtualization

/// Proves that KVM works by a guest that runs on it: its boot sector writes itself into the second sector of its disk and
/// switches the machine off. A guest that is gone without having written has not run.
struct AccelerationProof {
    static let name = ResourceName.accelerationProof
    static var volume: String { "\(name).seed" }

    static var bootSector: [UInt8] {
        let code: [UInt8] = [
            // xor ax, ax; mov es, ax; mov ax, 0x301; mov bx, 0x7C00; mov cx, 2; mov dx, 0x80; int 0x13: "write one sector",
            // this one, from where the BIOS has put it, into the second of the first disk.
            0x31, 0xC0, 0x8E, 0xC0, 0xB8, 0x01, 0x03, 0xBB, 0x00, 0x7C, 0xB9, 0x02, 0x00, 0xBA, 0x80, 0x00, 0xCD, 0x13,
            // mov dx, 0x604; mov ax, 0x2000; out dx, ax; hlt: ACPI's "sleep, type 0" in the register where SeaBIOS has put it
            // on both of QEMU's PC machines.
            0xBA, 0x04, 0x06, 0xB8, 0x00, 0x20, 0xEF, 0xF4,
        ]
        return code + [UInt8](repeating: 0, count: 510 - code.count) + [0x55, 0xAA]
    }

    /// Blocks for at most ten seconds. Removes what is left of a proof that was killed.
    static func run(on connection: LibvirtConnection) throws(VirtualizationError) -> Bool {
        try removeRemains(on: connection)
        guard connection.claimsKVM() else { return false }
        return try isGuestRun(by: .kvm, on: connection)
    }

    static func isGuestRun(
        by accelerator: DomainXML.Accelerator, on connection: LibvirtConnection
    ) throws(VirtualizationError) -> Bool {
        try unsafe connection.withPool(LibvirtStorage.instancePool) { pool throws(VirtualizationError) in
            try unsafe connection.createVolume(StorageXML.raw(name: volume, capacity: 1 << 20), in: pool)
            // The file goes whatever happens; a failure to remove it would show in the inventory as an orphan.
            defer { try? unsafe connection.deleteVolume(volume, in: pool) }
            let path = try unsafe connection.withVolume(volume, in: pool) { volume throws(VirtualizationError) in
                try unsafe connection.upload(bootSector, to: volume)
                return try unsafe connection.path(of: volume)
            }
            guard let path, connection.startTransient(domain(accelerator, bootSector: path).serialized) else {
                return false
            }
            let end = ContinuousClock.now + .seconds(10)
            while ContinuousClock.now < end {
                Thread.sleep(forTimeInterval: 0.05)
                guard try unsafe connection.withDomain(name, { _ in }) == nil else { continue }
                let written = try unsafe connection.withVolume(volume, in: pool) { volume throws(VirtualizationError) in
                    try unsafe connection.download(volume, from: 512, limit: 512)
                }
                return written == bootSector
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

    private static func domain(_ accelerator: DomainXML.Accelerator, bootSector path: String) -> XMLElement {
        XMLElement(
            "domain", ["type": accelerator.rawValue],
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
