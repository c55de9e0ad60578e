import CloudModel
import Foundation
import Glibc
import Synchronization
import TenantManifest

/// The tenants of an empty state: a folder of manifests, applied as `medcloud apply` does it.
struct FirstTenants: Sendable {
    let state: RegionState
    let connection: RegionConnection
    let progress: Progress
    /// Whether the region has a hypervisor; without one, networks and instances are left out.
    let hasCompute: Bool

    /// Holds the folder's path. Stays until the region has taken the tenants on, so a start that was interrupted before is
    /// finished by the next. Not longer: what has become of them since is no start's business.
    private static func marker(_ state: RegionState) -> String { state.directory + "/demo.pending" }

    /// Checks the manifests before anything is started.
    static func request(_ folder: String, in state: RegionState) throws {
        _ = try ManifestFiles.read([folder])
        try DurableFile.write(folder, to: marker(state), mode: 0o644)
    }

    static func isRequested(in state: RegionState) -> Bool {
        access(marker(state), F_OK) == 0
    }

    func make() async throws {
        let folder = DurableFile.text(Self.marker(state)).flatMap { $0.isEmpty ? nil : $0 } ?? Self.standardFolder
        guard let folder else {
            throw CommandFailure(.notFound, "The folder of manifests is not there any more.")
        }
        let api = PlatformAPI(
            connection: connection, state: state, profile: try OperatorProfile.read(state.operatorProfile))
        let files = try await manifests(folder, api)
        let application = Application(api: api, files: files, prune: false)
        let comparison = try await Application.steadily { try await application.compare() }
        guard comparison.current.isEmpty, !comparison.plan.isEmpty else { return unmark() }
        progress.step("making the tenants of \(folder)")
        _ = try await application.carryOut(comparison, allowed: [], since: progress.begin, whenAccepted: unmark)
    }

    private func unmark() {
        unlink(Self.marker(state))
    }

    /// The manifests, with their machines where those can be had. Databases do not wait for a hypervisor that does not work:
    /// its machines are left out, and that is said.
    private func manifests(_ folder: String, _ api: PlatformAPI) async throws -> ManifestFiles {
        let all = try ManifestFiles.read([folder])
        let images = Set(all.specifications.flatMap { $0.instances.map(\.image) })
        guard hasCompute, !images.isEmpty else { return try ManifestFiles.read([folder], withCompute: hasCompute) }
        do {
            for image in images.sorted() { try await ensure(image: image, api) }
            return all
        } catch let failure as CommandFailure {
            progress.step("the machines are left out: \(failure.message)")
            progress.step("`medcloud apply -f \(folder)` makes them later")
            return try ManifestFiles.read([folder], withCompute: false)
        }
    }

    /// Builds an image unless the region has it, and waits until the region knows it.
    private func ensure(image: String, _ api: PlatformAPI) async throws {
        if try await has(image: image, api) { return }
        progress.step("building the image \(image)")
        let own = try ExecutableLocation.ownPath()
        let directory = state.directory
        let build = Build()
        do {
            try await withTaskCancellationHandler {
                // A thread of its own, because it blocks.
                try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
                    Thread.detachNewThread {
                        done.resume(
                            with: Result {
                                try ShellTool.run(own, ["image", "build", image, "--state", directory]) { build.goesOn }
                            })
                    }
                }
            } onCancel: {
                build.cancel()
            }
        } catch {
            try Task.checkCancellation()
            throw error
        }
        let end = ContinuousClock.now + .seconds(120)
        while try await !has(image: image, api) {
            guard ContinuousClock.now < end else {
                throw CommandFailure(
                    .failed, "the hypervisor does not show the image \(image) (`medcloud logs hypervisor`)")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Whether an image is still wanted.
    private final class Build: Sendable {
        private let isCancelled = Atomic(false)

        var goesOn: Bool { !isCancelled.load(ordering: .relaxed) }
        func cancel() { isCancelled.store(true, ordering: .relaxed) }
    }

    private func has(image: String, _ api: PlatformAPI) async throws -> Bool {
        try await api.images().contains { $0[key: "name"]?.string == image }
    }

    /// `Tenants` of the clone that this executable was built in, or `share/medcloud/Tenants` beside the folder that it was
    /// installed in; nil when there is none.
    static var standardFolder: String? {
        guard let own = try? ExecutableLocation.ownPath() else { return nil }
        var folder = own
        // .build/x86_64-unknown-linux-gnu/release/medcloud is four levels below its clone.
        for _ in 0..<5 {
            guard let slash = folder.lastIndex(of: "/") else { return nil }
            folder = String(folder[..<slash])
            for candidate in ["\(folder)/Tenants", "\(folder)/share/medcloud/Tenants"]
            where access("\(candidate)/schema.json", R_OK) == 0 { return candidate }
        }
        return nil
    }
}
