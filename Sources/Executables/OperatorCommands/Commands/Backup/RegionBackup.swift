import CloudModel
import Crypto
import Foundation
import Glibc

/// Makes and restores backups of a region.
///
/// A backup is one `pg_basebackup` of each cluster while the region works, with the write-ahead log that makes it
/// consistent, and the region's keys and profiles. The two clusters are copied one after the other; the list of tenants is
/// compared before and after, so none is half in it.
struct RegionBackup: Sendable {
    let state: RegionState
    let users: RegionUsers
    let progress: Progress

    /// What lies beside the clusters in a backup: keys, profiles, client keys.
    private static let copied = ["operator.json", "clients", "secrets"]

    // MARK: Create

    /// - Parameters:
    ///   - parent: where the backup's directory is made.
    ///   - tenants: asks the region which tenants it has.
    func create(in parent: String, tenants: () async throws -> [String]) async throws -> (String, BackupManifest) {
        guard RegionLock.holder(of: state) != nil else {
            throw CommandFailure(.unreachable, "The region does not run: start it with `medcloud up` to back it up.")
        }
        let installation = try PostgresInstallation.find(
            environment: Environment.current, dataVersion: PostgresInstallation.dataVersion(state))
        let now = Date()
        let id = Self.identifier(now)
        let target = "\(parent)/\(id)"
        let unfinished = target + ".unfinished"
        // Postgres's user copies into it.
        if access(parent, F_OK) != 0 { try makeDirectory(parent, mode: 0o711) }
        try makeDirectory(unfinished, mode: 0o711)
        do {
            let before = try await tenants()
            for cluster in RegionState.clusters {
                progress.step("copying the cluster \(cluster)")
                try copyCluster(cluster, into: unfinished, installation: installation)
            }
            guard try await tenants() == before else {
                throw CommandFailure(
                    .refused, "A tenant was made or deleted while the backup ran: make the backup again.")
            }
            progress.step("copying keys and profiles")
            for name in Self.copied where access("\(state.directory)/\(name)", F_OK) == 0 {
                try copyTree("\(state.directory)/\(name)", to: "\(unfinished)/\(name)")
            }
            let manifest = BackupManifest(
                format: BackupManifest.currentFormat, id: id, createdAt: Self.rfc3339(now),
                version: Release.version, stateFormat: RegionState.formatVersion,
                postgresVersion: installation.majorVersion, clusters: RegionState.clusters, tenants: before,
                files: try checksums(of: unfinished), bytes: Self.size(of: unfinished))
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try DurableFile.write(
                Array(try encoder.encode(manifest)) + [0x0A], to: unfinished + "/manifest.json", mode: 0o600)
            guard rename(unfinished, target) == 0 else {
                throw CommandFailure.system("rename \(unfinished)", errno: errno)
            }
            DurableFile.syncDirectory(of: target)
            return (target, manifest)
        } catch {
            // What is left is named as unfinished; the error of the backup is the one that counts.
            try? DurableFile.remove(unfinished)
            throw error
        }
    }

    private func copyCluster(_ cluster: String, into directory: String, installation: PostgresInstallation) throws {
        let target = "\(directory)/\(cluster)"
        try makeDirectory(target, mode: 0o700, owner: users.database)
        // --checkpoint=fast: begin at once; --wal-method=stream: what is written meanwhile comes along.
        try run(
            installation.binary("pg_basebackup"),
            [
                "--host", state.socketDirectory(cluster: cluster), "--username", "postgres", "--no-password",
                "--pgdata", target, "--format=plain", "--wal-method=stream", "--checkpoint=fast",
                "--manifest-checksums=SHA256",
            ], log: directory + "/\(cluster).log")
        unlink(directory + "/\(cluster).log")
    }

    // MARK: Restore

    /// Puts a backup into an empty state directory.
    func restore(from source: String) throws {
        let manifest = try BackupManifest.read(source)
        guard manifest.stateFormat <= RegionState.formatVersion else {
            throw CommandFailure(.refused, "\(source) holds a newer state format: use medcloud \(manifest.version).")
        }
        let installation = try PostgresInstallation.find(
            environment: Environment.current, dataVersion: manifest.postgresVersion)
        let directory = StateDirectory(state: state, users: users)
        try directory.checkPlace()
        try directory.makeRoot()
        let lock = try RegionLock(state)
        guard try directory.content() == .empty else {
            throw CommandFailure(
                .refused,
                "\(state.directory) already holds a region: a backup is restored into an empty state directory only "
                    + "(choose another --state).")
        }
        progress.step("checking \(source)")
        try verify(manifest, in: source, installation: installation)
        try directory.prepare()
        for name in Self.copied where access("\(source)/\(name)", F_OK) == 0 {
            try copyTree("\(source)/\(name)", to: "\(state.directory)/\(name)")
        }
        for cluster in manifest.clusters {
            progress.step("restoring the cluster \(cluster)")
            let target = state.dataDirectory(cluster: cluster)
            try copyTree("\(source)/\(cluster)", to: target)
            unlink(target + "/backup_manifest")
        }
        try makePrivate()
        // Last, so that a restore that was interrupted is not taken for a region.
        try directory.writeFormat()
        Self.hold(lock)
    }

    private static func hold(_ lock: consuming RegionLock) {}

    private func verify(_ manifest: BackupManifest, in source: String, installation: PostgresInstallation) throws {
        for file in manifest.files {
            guard try Self.sha256("\(source)/\(file.path)") == file.sha256 else {
                throw CommandFailure(.failed, "\(source)/\(file.path) differs from what was backed up.")
            }
        }
        for cluster in manifest.clusters {
            let log = "\(state.directory)/lock.verify"
            defer { unlink(log) }
            try run(
                installation.binary("pg_verifybackup"), ["--exit-on-error", "--quiet", "\(source)/\(cluster)"], log: log
            )
        }
    }

    /// Gives the restored directories to their users: names and modes as `medcloud up` makes them.
    private func makePrivate() throws {
        if let database = users.database {
            for path in RegionState.clusters.map({ state.dataDirectory(cluster: $0) }) + [state.controllerSecrets] {
                try runTool("/bin/chown", ["-R", "\(database.uid):\(database.gid)", path])
            }
        }
        if let gateway = users.gateway {
            try runTool("/bin/chown", ["-R", "\(gateway.uid):\(gateway.gid)", state.gatewaySecrets])
        }
    }

    // MARK: Tools

    /// Runs one of Postgres's programs as Postgres's user.
    private func run(_ program: String, _ arguments: [String], log: String) throws {
        var specification = ProcessSpecification(
            name: program, executable: program, arguments: arguments, environment: Environment.minimal)
        specification.user = program.hasSuffix("pg_verifybackup") ? nil : users.database
        specification.logFile = log
        let reason = try ChildProcess.run(specification)
        guard reason == .exited(0) else {
            let last = LogTail.lines(of: log, count: 1).first ?? reason.description
            throw CommandFailure(.failed, last)
        }
    }

    private func runTool(_ program: String, _ arguments: [String]) throws {
        let specification = ProcessSpecification(
            name: program, executable: program, arguments: arguments, environment: Environment.minimal)
        guard try ChildProcess.run(specification) == .exited(0) else {
            throw CommandFailure(.failed, "\(program) \(arguments.joined(separator: " ")) failed.")
        }
    }

    /// Copies a file or tree with owners, modes and times, and syncs it.
    private func copyTree(_ source: String, to target: String) throws {
        try runTool("/bin/cp", ["--archive", "--no-target-directory", "--reflink=auto", "--", source, target])
        try runTool("/bin/sync", ["--file-system", target])
    }

    private func makeDirectory(_ path: String, mode: mode_t, owner: SystemUser? = nil) throws {
        guard mkdir(path, mode) == 0, chmod(path, mode) == 0 else {
            throw CommandFailure.system("make \(path)", errno: errno)
        }
        if let owner, chown(path, owner.uid, owner.gid) != 0 {
            throw CommandFailure.system("give \(path) to \(owner.name)", errno: errno)
        }
    }

    private func checksums(of directory: String) throws -> [BackupManifest.File] {
        var paths = RegionState.clusters.map { "\($0)/backup_manifest" }
        for name in Self.copied {
            let root = "\(directory)/\(name)"
            if name.hasSuffix(".json") {
                if access(root, F_OK) == 0 { paths.append(name) }
                continue
            }
            for inner in FileManager.default.enumerator(atPath: root)?.compactMap({ $0 as? String }) ?? [] {
                var status = stat()
                if stat("\(root)/\(inner)", &status) == 0, status.st_mode & S_IFMT == S_IFREG {
                    paths.append("\(name)/\(inner)")
                }
            }
        }
        return try paths.sorted().map { .init(path: $0, sha256: try Self.sha256("\(directory)/\($0)")) }
    }

    private static func sha256(_ path: String) throws -> String {
        SHA256.hash(data: try DurableFile.read(path)).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
    }

    private static func size(of directory: String) -> Int64 {
        var bytes: Int64 = 0
        for path in FileManager.default.enumerator(atPath: directory)?.compactMap({ $0 as? String }) ?? [] {
            var status = stat()
            if lstat("\(directory)/\(path)", &status) == 0, status.st_mode & S_IFMT == S_IFREG {
                bytes += Int64(status.st_size)
            }
        }
        return bytes
    }

    /// `20261121T101502Z`: sorts by time.
    static func identifier(_ date: Date) -> String {
        rfc3339(date).filter { $0 != "-" && $0 != ":" }
    }

    private static func rfc3339(_ date: Date) -> String {
        date.formatted(.iso8601)
    }
}
