import ArgumentParser
import CloudModel
import Foundation
import Glibc
import Virtualization

/// `medcloud image build`
struct ImageBuildCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build",
        abstract: "Make an image that instances can be made from.",
        discussion: """
            "probe" is a small system that serves a page, for trying things out: it starts within seconds in 80 MiB. \
            "debian-12" is Debian with cloud-init and SSH; it takes minutes and Debian's debootstrap. What was built is kept \
            in a cache for all regions of this machine (MEDCLOUD_IMAGE_CACHE) and built again only when what it is made from \
            has changed. Instances that exist keep the image they were made from.
            """)

    @Argument(help: "probe or debian-12.")
    var image: ImageRecipe

    @OptionGroup var region: RegionOptions

    @Flag(help: "Build it even when the cache has it.")
    var fresh = false

    func run() throws {
        umask(0o022)
        let progress = Progress()
        let store = ImageStore.region(region.state)
        let cache = ImageStore.cache(environment: Environment.current, isRoot: geteuid() == 0)
        try store.prepare()
        try cache.prepare()
        let lock = try CacheLock(cache.directory + "/lock")
        let manifest = try lock.held { try cached(in: cache, progress) }
        if try store.image(manifest.name) != manifest {
            try store.adopt(manifest, from: cache)
            try store.sweep(instances: region.state.instancesDirectory)
        }
        progress.step("\(image.rawValue) is ready: \(manifest.source)")
    }

    private func cached(in cache: ImageStore, _ progress: Progress) throws -> ImageManifest {
        let known = try cache.image(image.rawValue)
        let source: String
        do {
            source = try image.source()
        } catch {
            // Without a way to Debian's packages, what was built before is better than nothing.
            guard !fresh, let known, known.source.hasPrefix(image.sourcePrefix) else { throw error }
            progress.step("taking the image that is in the cache: \(error)")
            return known
        }
        if !fresh, let known, known.source == source, (try? cache.check(known)) != nil { return known }
        let folder = cache.directory + "/build-\(getpid())"
        guard mkdir(folder, 0o700) == 0 else { throw CommandFailure.system("make \(folder)", errno: errno) }
        defer { try? ShellTool.run("/bin/rm", ["-rf", "--one-file-system", "--", folder]) }
        let manifest = try image.build(source: source, into: cache, folder: folder, progress: progress)
        try cache.sweep(instances: nil)
        return manifest
    }
}

/// One builder at a time; the others wait and find what it made.
private struct CacheLock: ~Copyable {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw CommandFailure.system("open \(path)", errno: errno) }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw CommandFailure.system("lock \(path)", errno: errno) }
        }
    }

    /// Does something while the lock is held.
    func held<Result>(_ body: () throws -> Result) rethrows -> Result { try body() }

    deinit { close(descriptor) }
}
