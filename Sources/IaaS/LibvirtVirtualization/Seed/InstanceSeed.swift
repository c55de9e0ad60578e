import Crypto
import Virtualization

/// The NoCloud seed of an instance: who it is and which keys it trusts.
struct InstanceSeed {
    private let instance: InstanceSpecification

    /// - Throws: ``VirtualizationError/Code/failed`` for a host name or key that could say more than it should.
    init(_ instance: InstanceSpecification) throws(VirtualizationError) {
        guard Self.isHostName(instance.hostName) else {
            throw VirtualizationError(.failed, "the host name is no label of letters, digits and hyphens")
        }
        for key in instance.authorizedKeys
        where key.isEmpty || key.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value > 0x7E }) {
            throw VirtualizationError(.failed, "an SSH key is one line of printable ASCII")
        }
        self.instance = instance
    }

    var metaData: String {
        "instance-id: \(instanceID)\nlocal-hostname: \(instance.hostName)\n"
    }

    /// cloud-init does once for each instance id what user-data asks for, so changed keys are a changed id: the UUID with the
    /// beginning of the SHA-256 of the user-data.
    var instanceID: String {
        let digest = SHA256.hash(data: Array(userData.utf8)).prefix(4)
        return instance.uuid + "-" + digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// YAML, with its values written as JSON strings, which YAML takes as they are.
    var userData: String {
        let keys = instance.authorizedKeys.map {
            "\"" + $0.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        }
        return """
            #cloud-config
            preserve_hostname: false
            ssh_pwauth: false
            disable_root: true
            ssh_authorized_keys: [\(keys.joined(separator: ", "))]

            """
    }

    /// The bytes of the volume.
    var image: [UInt8] {
        ISOImage(
            label: "cidata",
            files: [("meta-data", Array(metaData.utf8)), ("user-data", Array(userData.utf8))]
        ).bytes
    }

    private static func isHostName(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        let isPlain = bytes.allSatisfy {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                || $0 == UInt8(ascii: "-")
        }
        return (1...63).contains(bytes.count) && isPlain && bytes.first != UInt8(ascii: "-")
            && bytes.last != UInt8(ascii: "-")
    }
}
