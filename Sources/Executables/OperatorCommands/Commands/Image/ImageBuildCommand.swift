import ArgumentParser
import CloudModel
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
            has changed. Instances that exist keep the image they were made from. Ctrl-C leaves nothing behind.
            """)

    @Argument(help: "probe or debian-12.")
    var image: String

    @OptionGroup var region: RegionOptions

    @Flag(help: "Build it even when the cache has it.")
    var fresh = false

    func run() throws {
        umask(0o022)
        let recipe = try ImageRecipe.named(image)
        let progress = Progress()
        let store = ImageStore.region(region.state)
        let cache = ImageStore.cache(environment: Environment.current, isRoot: geteuid() == 0)
        try store.prepare()
        try cache.prepare()
        let lock = try BuildLock("\(cache.directory)/\(image).lock") {
            progress.step("waiting for another build of \(image) on this machine")
        }
        let manifest: ImageManifest
        do {
            manifest = try lock.held { try cached(recipe, in: cache, progress) }
        } catch let cancellation as CancellationError {
            progress.step("cancelled; nothing is left of it")
            throw cancellation
        }
        if try store.image(manifest.name) != manifest || (try? store.check(manifest)) == nil {
            try store.adopt(manifest, from: cache)
            try store.sweep(image, instances: region.state.instancesDirectory)
            progress.step("\(image) is ready: \(manifest.source)")
        } else {
            progress.step("\(image) is there already: \(manifest.source)")
        }
    }

    private func cached(_ recipe: ImageRecipe, in cache: ImageStore, _ progress: Progress) throws -> ImageManifest {
        let known = try cache.image(image)
        progress.step("asking apt what \(image) is made of")
        let source: String
        do {
            source = try recipe.source()
        } catch {
            // Without a way to Debian's packages, what was built before is better than nothing.
            guard !fresh, let known, known.source.hasPrefix(recipe.sourcePrefix) else { throw error }
            progress.step("taking the image that is in the cache: \(error)")
            return known
        }
        // A damaged one is built again.
        if !fresh, let known, known.source == source, (try? cache.check(known)) != nil { return known }
        // What a builder that was killed has left; we hold the lock, so none is at work.
        for name in StateDirectory.names(in: cache.directory) ?? [] where name.hasPrefix("\(image).build-") {
            try Self.remove("\(cache.directory)/\(name)")
        }
        let workshop = try ImageWorkshop(
            folder: "\(cache.directory)/\(image).build-\(getpid())", log: "\(cache.directory)/\(image).log",
            progress: progress)
        // What is left of it goes with the next build.
        defer { try? Self.remove(workshop.folder) }
        let signals = StopSignals { workshop.cancel() }
        defer { withExtendedLifetime(signals) {} }
        do {
            let manifest = try recipe.build(source: source, into: cache, in: workshop)
            unlink(workshop.log)
            try cache.sweep(image, instances: nil)
            return manifest
        } catch let cancellation as CancellationError {
            unlink(workshop.log)
            throw cancellation
        }
    }

    private static func remove(_ folder: String) throws {
        try ShellTool.run("/bin/rm", ["-rf", "--one-file-system", "--", folder])
    }
}

/// One builder of an image at a time; the others wait and find what it made.
private struct BuildLock: ~Copyable {
    private let descriptor: Int32

    /// - Parameter waiting: called when another holds it.
    init(_ path: String, waiting: () -> Void) throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw CommandFailure.system("open \(path)", errno: errno) }
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
        waiting()
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw CommandFailure.system("lock \(path)", errno: errno) }
        }
    }

    /// Does something while the lock is held.
    func held<Result>(_ body: () throws -> Result) rethrows -> Result { try body() }

    deinit { close(descriptor) }
}
