import Foundation
import Glibc
import Virtualization

/// What `medcloud image build` can make.
package enum ImageRecipe: String, CaseIterable, Sendable {
    case probe
    case debian12 = "debian-12"

    /// What the image would be made from now; two builds from the same are the same image.
    func source() throws -> String {
        switch self {
        case .probe:
            let kernel = try KernelPackage.newest()
            let busybox = try ShellTool.lines("/usr/bin/dpkg-query", ["-W", "-f", "${Version}\\n", "busybox-static"])
                .first
            return "\(sourcePrefix), \(kernel.name) \(kernel.version), busybox \(busybox ?? "unknown")"
        case .debian12:
            let kernel = try KernelPackage.newest()
            return "\(sourcePrefix), \(kernel.name) \(kernel.version)"
        }
    }

    /// What every source of this recipe begins with.
    var sourcePrefix: String {
        switch self {
        case .probe: "probe revision \(ProbeSystem.revision)"
        case .debian12: "Debian 12 revision \(DebianSystem.revision)"
        }
    }

    /// The recipe of that name.
    static func named(_ name: String) throws -> ImageRecipe {
        if let recipe = ImageRecipe(rawValue: name) { return recipe }
        let known = allCases.map(\.rawValue)
        throw CommandFailure(
            .usage,
            "There is no recipe for an image \"\(name)\"." + Suggestion.hint(for: name, among: known)
                + " There are: \(known.joined(separator: ", ")).")
    }

    /// Builds into `store`.
    func build(source: String, into store: ImageStore, in workshop: ImageWorkshop) throws -> ImageManifest {
        let parts =
            switch self {
            case .probe: try Self.probe(workshop)
            case .debian12: try DebianSystem(workshop: workshop).build()
            }
        workshop.progress.step("writing the image")
        let file = "\(workshop.folder)/disk.qcow2"
        try workshop.run("/usr/bin/qemu-img", ["convert", "-f", "raw", "-O", "qcow2", parts.disk, file])
        try workshop.checkCancellation()
        let disk = try store.take(file, image: rawValue, kind: "qcow2")
        // Kernel and initial file system carry the stem of the disk that they belong to.
        let stem = ImageStore.stem(disk.name)
        let manifest = ImageManifest(
            name: rawValue, source: source, built: Int64(time(nil)), capacity: parts.capacity, memory: parts.memory,
            disk: disk, kernel: try store.take(parts.kernel, as: "\(stem).kernel"),
            initialFileSystem: try store.take(parts.initialFileSystem, as: "\(stem).initrd"))
        try store.publish(manifest)
        return manifest
    }

    /// Files that make an image.
    struct Parts {
        /// A raw disk with a file system and no partitions.
        var disk: String
        var kernel: String
        var initialFileSystem: String
        var capacity: Int64
        var memory: Int64
    }

    private static func probe(_ workshop: ImageWorkshop) throws -> Parts {
        let folder = workshop.folder
        let kernel = try KernelPackage.newest()
        workshop.progress.step("downloading \(kernel.name)")
        try kernel.unpack(in: workshop)
        let busybox = try DurableFile.read(access("/bin/busybox", R_OK) == 0 ? "/bin/busybox" : "/usr/bin/busybox")
        let files = ProbeSystem.initialFileSystem(
            busybox: busybox, modules: try kernel.modules(ProbeSystem.modules, in: folder))
        try DurableFile.write(files, to: "\(folder)/initrd", mode: 0o444)
        let disk = "\(folder)/disk.raw"
        // A note that every instance can show: it was made from this image.
        try workshop.run("/bin/mkdir", ["\(folder)/root"])
        try DurableFile.write("probe\n", to: "\(folder)/root/image", mode: 0o444)
        try FileSystemImage.make(disk, size: ProbeSystem.disk, content: "\(folder)/root", label: "probe", in: workshop)
        return Parts(
            disk: disk, kernel: kernel.kernelFile(in: folder), initialFileSystem: "\(folder)/initrd",
            capacity: ProbeSystem.disk, memory: ProbeSystem.memory)
    }
}

/// A file system in a file, made without mounting anything.
enum FileSystemImage {
    static func make(
        _ path: String, size: Int64, content: String, label: String, in workshop: ImageWorkshop
    ) throws {
        try DurableFile.write([], to: path, mode: 0o644)
        guard truncate(path, Int(size)) == 0 else { throw CommandFailure.system("write \(path)", errno: errno) }
        try workshop.run("/usr/sbin/mkfs.ext4", ["-q", "-F", "-L", label, "-d", content, path])
    }
}

extension ImageStore {
    /// Takes a file in under a given name, for files that belong to one that is named after its content.
    func take(_ path: String, as name: String) throws -> ImageManifest.File {
        let (digest, size) = try Self.digest(of: path)
        let target = "\(directory)/\(name)"
        if access(target, F_OK) == 0 {
            guard try Self.digest(of: target).sha256 == digest else {
                throw CommandFailure(.failed, "\(target) is there with other content: remove it.")
            }
        } else {
            try DurableFile.write(try DurableFile.read(path), to: target, mode: 0o444)
        }
        return ImageManifest.File(name: name, sha256: digest, size: size)
    }
}
