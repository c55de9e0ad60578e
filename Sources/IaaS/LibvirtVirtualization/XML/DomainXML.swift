import Virtualization

/// The domain of an instance.
struct DomainXML {
    /// What the hypervisor calls the way it runs guests.
    enum Accelerator: String, Sendable {
        case kvm
        /// QEMU's own translator, TCG.
        case emulated = "qemu"
        /// libvirt's test driver.
        case simulated = "test"
    }

    /// Files of the host that the domain uses. All come from storage volumes of ours, none from a tenant.
    struct Files: Sendable, Equatable {
        var disk: String
        var seed: String
        var consoleLog: String
        /// Kernel and initial file system, where the image is started directly.
        var kernel: (kernel: String, initialFileSystem: String)?

        static func == (left: Files, right: Files) -> Bool {
            left.disk == right.disk && left.seed == right.seed && left.consoleLog == right.consoleLog
                && left.kernel?.kernel == right.kernel?.kernel
                && left.kernel?.initialFileSystem == right.kernel?.initialFileSystem
        }
    }

    let instance: InstanceSpecification
    let accelerator: Accelerator
    let files: Files

    /// What a directly started kernel is told: the root file system fills the disk, the console is the serial port.
    static let kernelCommandLine = "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=5 quiet"

    var element: XMLElement {
        XMLElement(
            "domain", ["type": accelerator.rawValue],
            [
                XMLElement("name", text: instance.name.rawValue),
                XMLElement("uuid", text: instance.uuid),
                XMLElement("memory", ["unit": "b"], text: String(instance.memory)),
                XMLElement("vcpu", text: String(instance.virtualCPUs)),
                operatingSystem,
                features,
            ] + processor + [
                XMLElement("clock", ["offset": "utc"]),
                XMLElement("on_poweroff", text: "destroy"),
                XMLElement("on_reboot", text: "restart"),
                XMLElement("on_crash", text: "destroy"),
                XMLElement("devices", [:], devices),
            ])
    }

    private var operatingSystem: XMLElement {
        // The test driver knows no machine types.
        let type =
            accelerator == .simulated
            ? XMLElement("type", text: "hvm")
            : XMLElement("type", ["arch": "x86_64", "machine": "q35"], text: "hvm")
        guard let kernel = files.kernel else {
            return XMLElement("os", [:], [type, XMLElement("boot", ["dev": "hd"])])
        }
        return XMLElement(
            "os", [:],
            [
                type, XMLElement("kernel", text: kernel.kernel), XMLElement("initrd", text: kernel.initialFileSystem),
                XMLElement("cmdline", text: Self.kernelCommandLine),
            ])
    }

    private var features: XMLElement {
        var features = [XMLElement("acpi")]
        if accelerator == .emulated {
            // The translator would take up to a quarter of the memory of the host for each guest otherwise.
            features.append(XMLElement("tcg", [:], [XMLElement("tb-cache", ["unit": "MiB"], text: "16")]))
        }
        return XMLElement("features", [:], features)
    }

    private var processor: [XMLElement] {
        accelerator == .kvm ? [XMLElement("cpu", ["mode": "host-model"])] : []
    }

    private var devices: [XMLElement] {
        [
            XMLElement(
                "disk", ["type": "file", "device": "disk"],
                [
                    XMLElement("driver", ["name": "qemu", "type": "qcow2", "discard": "unmap"]),
                    XMLElement("source", ["file": files.disk]),
                    XMLElement("target", ["dev": "vda", "bus": "virtio"]),
                ]),
            XMLElement(
                "disk", ["type": "file", "device": "disk"],
                [
                    XMLElement("driver", ["name": "qemu", "type": "raw"]),
                    XMLElement("source", ["file": files.seed]),
                    XMLElement("target", ["dev": "vdb", "bus": "virtio"]),
                    XMLElement("readonly"),
                ]),
            interface,
            XMLElement(
                "serial", ["type": "file"],
                [
                    XMLElement("source", ["path": files.consoleLog, "append": "on"]),
                    XMLElement("target", ["port": "0"]),
                ]),
        ] + hostDevices
    }

    private var interface: XMLElement {
        var parts = [
            XMLElement("mac", ["address": instance.macAddress]),
            XMLElement("source", ["network": instance.network.rawValue]),
            XMLElement("model", ["type": "virtio"]),
        ]
        if accelerator != .simulated {
            parts.append(
                XMLElement(
                    "filterref", ["filter": FilterXML.name],
                    [XMLElement("parameter", ["name": "IP", "value": instance.address])]))
        }
        return XMLElement("interface", ["type": "network"], parts)
    }

    private var hostDevices: [XMLElement] {
        guard accelerator != .simulated else { return [] }
        return [
            XMLElement("memballoon", ["model": "virtio"]),
            XMLElement(
                "rng", ["model": "virtio"], [XMLElement("backend", ["model": "random"], text: "/dev/urandom")]),
        ]
    }
}
