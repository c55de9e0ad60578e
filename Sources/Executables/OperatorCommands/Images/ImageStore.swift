package import CloudModel
import Crypto
import Foundation
import Glibc
package import Virtualization

/// A directory of base images: `NAME.json` says which files an image consists of, and each file is named after its content, so
/// that building an image again never changes a file that a disk builds on.
///
/// A region has one; another, shared by the regions of a machine, keeps what was built.
package struct ImageStore: Sendable {
    package let directory: String

    package init(directory: String) {
        self.directory = directory
    }

    /// A region's own.
    package static func region(_ state: RegionState) -> ImageStore { ImageStore(directory: state.imagesDirectory) }

    /// MEDCLOUD_IMAGE_CACHE, else by user; root's is `/var/cache/medcloud/images`.
    package static func cache(environment: [String: String], isRoot: Bool) -> ImageStore {
        if let named = environment["MEDCLOUD_IMAGE_CACHE"], named.hasPrefix("/") { return ImageStore(directory: named) }
        if isRoot { return ImageStore(directory: "/var/cache/medcloud/images") }
        let base = environment["XDG_CACHE_HOME"] ?? (environment["HOME"] ?? "/tmp") + "/.cache"
        return ImageStore(directory: base + "/medcloud/images")
    }

    /// Makes the directory and those above it.
    package func prepare() throws {
        var path = ""
        for part in directory.split(separator: "/") {
            path += "/" + part
            if mkdir(path, 0o755) != 0, errno != EEXIST { throw CommandFailure.system("make \(path)", errno: errno) }
        }
    }

    /// The images, by name.
    package func images() throws -> [ImageManifest] {
        let files = (StateDirectory.names(in: directory) ?? []).filter { $0.hasSuffix(".json") }.sorted()
        return try files.map { file in try read("\(directory)/\(file)") }
    }

    package func image(_ name: String) throws -> ImageManifest? {
        let file = "\(directory)/\(name).json"
        return access(file, F_OK) == 0 ? try read(file) : nil
    }

    /// The image of that name, which must be there.
    package func existing(_ name: String) throws -> ImageManifest {
        if let manifest = try image(name) { return manifest }
        let hint = Suggestion.hint(for: name, among: try images().map(\.name))
        throw CommandFailure(.notFound, "There is no image \(name) in \(directory).\(hint)")
    }

    private func read(_ file: String) throws -> ImageManifest {
        do {
            return try JSONDecoder().decode(ImageManifest.self, from: Data(try DurableFile.read(file)))
        } catch is DecodingError {
            throw CommandFailure(.failed, "\(file) is damaged: build the image again.")
        }
    }

    /// So much of a digest is in a file's name.
    private static let digestLength = 16

    /// Takes a file in under a name that tells its content.
    func take(_ path: String, image: String, kind: String) throws -> ImageManifest.File {
        let (digest, size) = try Self.digest(of: path)
        let name = "\(image)-\(digest.prefix(Self.digestLength)).\(kind)"
        let target = "\(directory)/\(name)"
        try Self.copy(path, to: target)
        return ImageManifest.File(name: name, sha256: digest, size: size)
    }

    /// Makes `manifest` what its name stands for from now on.
    func publish(_ manifest: ImageManifest) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let bytes = try Array(encoder.encode(manifest)) + [0x0A]
        try DurableFile.write(bytes, to: "\(directory)/\(manifest.name).json", mode: 0o444)
    }

    /// Takes an image over from another store; refuses files that are not what their manifest says.
    package func adopt(_ manifest: ImageManifest, from other: ImageStore) throws {
        try other.check(manifest)
        // What is damaged here is replaced; disks that build on it find the same content again.
        if (try? check(manifest)) == nil {
            for file in manifest.files { try DurableFile.remove("\(directory)/\(file.name)") }
        }
        for file in manifest.files { try Self.copy("\(other.directory)/\(file.name)", to: "\(directory)/\(file.name)") }
        try publish(manifest)
    }

    /// Compares each file with its digest.
    package func check(_ manifest: ImageManifest) throws {
        for file in manifest.files {
            let path = "\(directory)/\(file.name)"
            guard access(path, F_OK) == 0 else {
                throw CommandFailure(.failed, "\(path) of the image \(manifest.name) is missing: build it again.")
            }
            guard try Self.digest(of: path) == (file.sha256, file.size) else {
                throw CommandFailure(
                    .failed, "\(path) is not what the image \(manifest.name) was built with: remove it and build again."
                )
            }
        }
    }

    /// Removes an image. Files that disks build on are refused or, when they are of an older build, kept.
    /// - Parameter instances: the directory of the disks, or nil where there are none.
    package func remove(_ name: String, instances: String?) throws {
        let manifest = try existing(name)
        let used = try instances.map(Self.bases) ?? []
        guard !used.contains(manifest.disk.name) else {
            throw CommandFailure(.refused, "Disks of instances build on the image \(name): delete those first.")
        }
        unlink("\(directory)/\(name).json")
        try sweep(name, instances: instances)
    }

    /// Removes files of older builds of `image` that no disk builds on.
    package func sweep(_ image: String, instances: String?) throws {
        let used = Set((try instances.map(Self.bases) ?? []).map(Self.stem))
        let kept = Set(try self.image(image)?.files.map(\.name) ?? [])
        for file in StateDirectory.names(in: directory) ?? [] {
            let stem = Self.stem(file)
            guard [".qcow2", ".kernel", ".initrd"].contains(where: file.hasSuffix), !kept.contains(file),
                stem.hasPrefix(image + "-"), stem.utf8.count == image.utf8.count + 1 + Self.digestLength,
                !used.contains(stem)
            else { continue }
            unlink("\(directory)/\(file)")
        }
    }

    static func stem(_ file: String) -> String { file.lastIndex(of: ".").map { String(file[..<$0]) } ?? file }

    /// Names of the files that the disks in `directory` build on.
    /// - Throws: ``CommandFailure`` when a disk cannot be read: it may build on any of them.
    static func bases(of directory: String) throws -> Set<String> {
        let disks = (StateDirectory.names(in: directory) ?? []).filter { $0.hasSuffix(".qcow2") }
        return Set(try disks.compactMap { disk in try Overlay.base(of: "\(directory)/\(disk)") })
    }

    /// SHA-256 in hexadecimal, and the size.
    static func digest(of path: String) throws -> (sha256: String, size: Int64) {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw CommandFailure.system("read \(path)", errno: errno)
        }
        defer { try? file.close() }
        var hash = SHA256()
        var size: Int64 = 0
        while let chunk = try file.read(upToCount: 1 << 20), !chunk.isEmpty {
            hash.update(data: chunk)
            size += Int64(chunk.count)
        }
        return (hash.finalize().map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined(), size)
    }

    /// The same file under another name where the file system can, else a copy; one that is there is what it is.
    private static func copy(_ source: String, to target: String) throws {
        guard access(target, F_OK) != 0 else { return }
        guard chmod(source, 0o444) == 0 else { throw CommandFailure.system("protect \(source)", errno: errno) }
        if link(source, target) == 0 || errno == EEXIST { return }
        let unfinished = "\(target).new-\(getpid())"
        defer { unlink(unfinished) }
        try ShellTool.run("/bin/cp", ["--sparse=always", "--", source, unfinished])
        try DurableFile.sync(unfinished)
        guard chmod(unfinished, 0o444) == 0, rename(unfinished, target) == 0 else {
            throw CommandFailure.system("write \(target)", errno: errno)
        }
    }
}

/// The header of a qcow2 file.
enum Overlay {
    /// The file name, without directories, of what the image at `path` builds on; nil when on nothing.
    ///
    /// QEMU's docs/interop/qcow2.txt: bytes 0–3 magic "QFI\xfb", 8–15 offset of the backing file's name, 16–19 its length.
    ///
    /// - Throws: ``CommandFailure`` when it cannot be read or is no whole qcow2 file; nil when it went away meanwhile.
    static func base(of path: String) throws -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw CommandFailure.system("read \(path)", errno: errno)
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        guard let header = try file.read(upToCount: 20), header.count == 20,
            header.prefix(4) == Data([0x51, 0x46, 0x49, 0xFB])
        else { throw CommandFailure(.failed, "\(path) is no whole qcow2 file.") }
        let offset = header[8..<16].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard offset > 0 else { return nil }
        let length = header[16..<20].reduce(0) { $0 << 8 | Int($1) }
        try file.seek(toOffset: offset)
        guard (1...1_023).contains(length), let name = try file.read(upToCount: length), name.count == length else {
            throw CommandFailure(.failed, "\(path) is no whole qcow2 file.")
        }
        return String(decoding: name, as: UTF8.self).split(separator: "/").last.map(String.init)
    }
}
