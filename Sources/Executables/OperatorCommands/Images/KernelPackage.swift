import Foundation
import Glibc

/// Debian's kernel for clouds, downloaded and unpacked, never installed on this machine.
struct KernelPackage {
    /// `linux-image-6.1.0-56-cloud-amd64`
    let name: String
    /// Debian's version of it: `6.1.192-2`
    let version: String

    var release: String { String(name.dropFirst("linux-image-".count)) }

    /// The newest that apt knows.
    static func newest() throws -> KernelPackage {
        let lines = try ShellTool.lines("/usr/bin/apt-cache", ["depends", "linux-image-cloud-amd64"])
        // "  Depends: linux-image-6.1.0-56-cloud-amd64"
        let name = lines.compactMap { line -> String? in
            let words = line.split(separator: " ")
            guard words.count == 2, words[0] == "Depends:", words[1].hasPrefix("linux-image-") else { return nil }
            return String(words[1])
        }.first
        guard let name else {
            throw CommandFailure(
                .failed,
                "apt does not know Debian's linux-image-cloud-amd64: run `apt-get update`, on Debian 12 for amd64.")
        }
        let version = try ShellTool.lines("/usr/bin/apt-cache", ["policy", name]).compactMap { line -> String? in
            let words = line.split(separator: " ")
            return words.count == 2 && words[0] == "Candidate:" ? String(words[1]) : nil
        }.first
        return KernelPackage(name: name, version: version ?? "unknown")
    }

    /// Downloads and unpacks it.
    func unpack(in workshop: ImageWorkshop) throws {
        // As root, apt would hand the download to a user that cannot write here, and complain.
        let options = geteuid() == 0 ? ["-o", "APT::Sandbox::User=root"] : []
        try workshop.run("/usr/bin/apt-get", options + ["download", "\(name)=\(version)"])
        guard let file = StateDirectory.names(in: workshop.folder)?.first(where: { $0.hasSuffix(".deb") }) else {
            throw CommandFailure(.failed, "apt-get downloaded nothing for \(name).")
        }
        try workshop.run("/usr/bin/dpkg-deb", ["-x", file, "kernel"])
    }

    func kernelFile(in directory: String) -> String { "\(directory)/kernel/boot/vmlinuz-\(release)" }

    /// The modules called `names` and what they need, each after those it needs.
    func modules(_ names: [String], in directory: String) throws -> [(name: String, content: [UInt8])] {
        let root = "\(directory)/kernel/lib/modules/\(release)/kernel"
        var files: [String: String] = [:]
        for case let path as String in FileManager.default.enumerator(atPath: root) ?? .init()
        where path.hasSuffix(".ko") {
            let file = path.split(separator: "/").last.map { String($0.dropLast(3)) } ?? path
            files[file.replacing("-", with: "_")] = "\(root)/\(path)"
        }
        var result: [(name: String, content: [UInt8])] = []
        func add(_ name: String) throws {
            guard !result.contains(where: { $0.name == name }) else { return }
            guard let file = files[name] else {
                throw CommandFailure(.failed, "The package \(self.name) has no module \(name).")
            }
            let content = try DurableFile.read(file)
            for needed in Self.needs(of: content) { try add(needed) }
            result.append((name, content))
        }
        for name in names { try add(name) }
        return result
    }

    /// A module names what it needs in its `.modinfo`: `depends=virtio_ring,virtio`.
    static func needs(of module: [UInt8]) -> [String] {
        let key = Array("\u{0}depends=".utf8)
        guard let position = module.firstRange(of: key) else { return [] }
        let text = String(decoding: module[position.upperBound...].prefix { $0 != 0 }, as: UTF8.self)
        return text.split(separator: ",").map { String($0).replacing("-", with: "_") }
    }
}
