import FoundationEssentials

/// The shape of an OpenSSH public key: type, base64 of a blob that names the same type, optional comment.
package enum PublicSSHKey {
    package static let types = [
        "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
        "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
    ]

    /// Why a line is no public key, as the end of a sentence; nil when it is one.
    package static func refusal(_ line: String) -> String? {
        if line.contains("PRIVATE KEY") { return "is a private key: give the .pub file's line only" }
        guard line.utf8.count <= 2048, line.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            return "must be one line of printable ASCII"
        }
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, types.contains(String(parts[0])) else {
            return "must begin with one of \(types.joined(separator: ", "))"
        }
        guard let blob = Data(base64Encoded: String(parts[1])), blob.count > 32 else {
            return "has no base64 key after its type"
        }
        let type = Array(parts[0].utf8)
        let header = [0, 0, 0, UInt8(type.count)] + type
        guard blob.starts(with: header) else { return "has a key of another type than it says" }
        return nil
    }
}
