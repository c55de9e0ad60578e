import CloudModel
import Glibc
import TenantManifest

/// The tenants of an empty state: a folder of manifests, applied as `medcloud apply` does it.
struct FirstTenants: Sendable {
    let state: RegionState
    let connection: RegionConnection
    let progress: Progress

    /// Holds the folder's path. Stays until the tenants are there, so a start that was interrupted is finished by the next.
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
        let api = try PlatformAPI(connection: connection, state: state)
        let application = Application(api: api, files: try ManifestFiles.read([folder]), prune: false)
        let comparison = try await application.compare()
        if !comparison.plan.isEmpty {
            progress.step("making the tenants of \(folder)")
            _ = try await application.carryOut(comparison, allowed: [], since: progress.begin)
        }
        unlink(Self.marker(state))
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
