package import CloudModel
import Glibc

/// Makes and checks the state directory of a region.
package struct StateDirectory: Sendable {
    package let state: RegionState
    package let users: RegionUsers

    package init(state: RegionState, users: RegionUsers) {
        self.state = state
        self.users = users
    }

    /// What a directory holds, judged by its format file.
    package enum Content: Equatable, Sendable {
        /// Not there, or nothing in it.
        case empty
        /// A region of this format.
        case region
    }

    /// The least free space that a region is started with: two clusters of 24 MiB with room for their write-ahead logs.
    package static let leastFreeBytes: UInt64 = 512 << 20

    /// `--state`, else MEDCLOUD_STATE, else a directory by user: `/var/lib/medcloud` for root.
    package static func directory(option: String?, environment: [String: String], isRoot: Bool) -> String {
        if let chosen = option ?? environment["MEDCLOUD_STATE"], !chosen.isEmpty { return absolute(chosen) }
        if isRoot { return "/var/lib/medcloud" }
        if let base = environment["XDG_STATE_HOME"], base.hasPrefix("/") { return base + "/medcloud" }
        return absolute((environment["HOME"] ?? ".") + "/.local/state/medcloud")
    }

    static func absolute(_ path: String) -> String {
        var result = path
        if !result.hasPrefix("/"), let here = getcwd(nil, 0) {
            result = String(cString: here) + "/" + result
            free(here)
        }
        while result.count > 1, result.hasSuffix("/") { result.removeLast() }
        return result
    }

    /// Says what the directory holds.
    /// - Throws: ``CommandFailure`` when it is something else than a region, or a region of a newer format.
    package func content() throws -> Content {
        if let text = DurableFile.text(state.formatFile) {
            let trimmed = text.filter { !$0.isWhitespace }
            guard let version = Int(trimmed), version >= 1 else {
                throw CommandFailure(.refused, "\(state.formatFile) is damaged: it should hold a number.")
            }
            guard version <= RegionState.formatVersion else {
                throw CommandFailure(
                    .refused,
                    "\(state.directory) was written by a newer medcloud (format \(version), this one reads up to "
                        + "\(RegionState.formatVersion)): use that version, or another --state.")
            }
            return .region
        }
        guard let names = Self.names(in: state.directory) else { return .empty }
        // The lock, the log of a detached start and the wish for first tenants come before the format; samples, images or
        // backups may have been put there. What was being written when a start was interrupted is named `FILE.new-NUMBER`.
        let harmless: Set<String> = ["lock", "logs", "demo.pending", "samples", "images", "backups", "lost+found"]
        let written = ["demo.pending.new-", "format.new-"]
        guard names.allSatisfy({ name in harmless.contains(name) || written.contains(where: name.hasPrefix) }) else {
            throw CommandFailure(
                .refused, "\(state.directory) is not empty and not a medcloud state directory: choose another --state.")
        }
        return .empty
    }

    /// The names in a directory, or nil when it is not there.
    static func names(in directory: String) -> [String]? {
        guard let handle = opendir(directory) else { return nil }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Checks what must hold before anything is written.
    package func checkPlace() throws {
        guard state.directory.utf8.count <= RegionState.longestDirectory else {
            throw CommandFailure(
                .usage,
                "The state directory's path is longer than \(RegionState.longestDirectory) bytes, too long for "
                    + "its sockets: choose a shorter --state.")
        }
        guard !state.directory.contains(where: { "'\\\n\"".contains($0) }) else {
            throw CommandFailure(.usage, "The state directory's path may not contain quotes or backslashes.")
        }
    }

    /// Refuses a nearly full disk, before Postgres would find out in the middle of a write.
    package func checkDiskSpace() throws {
        var statistics = statvfs()
        guard statvfs(state.directory, &statistics) == 0 else {
            throw CommandFailure.system("look at the disk of \(state.directory)", errno: errno)
        }
        let free = UInt64(statistics.f_bavail) * UInt64(statistics.f_frsize)
        try Self.checkDiskSpace(free: free, directory: state.directory)
    }

    package static func checkDiskSpace(free: UInt64, directory: String) throws {
        guard free >= leastFreeBytes else {
            throw CommandFailure(
                .refused,
                "The disk of \(directory) has \(free >> 20) MiB free; medcloud needs \(leastFreeBytes >> 20) MiB: "
                    + "free some space, or choose another --state.")
        }
    }

    /// Makes every directory with its owner and mode; repeats harmlessly.
    /// - Parameter compute: whether the region has a private hypervisor.
    package func prepare(compute: Bool = false) throws {
        try make(state.runDirectory, mode: 0o755)
        for cluster in RegionState.clusters {
            // Only Postgres and the workers may reach the sockets.
            try make(
                state.socketDirectory(cluster: cluster), mode: 0o750, owner: users.database, group: users.gateway?.gid)
        }
        try make(state.postgresDirectory, mode: 0o700, owner: users.database)
        try make(state.directory + "/secrets", mode: 0o711)
        try make(state.gatewaySecrets, mode: 0o700, owner: users.gateway)
        try make(state.controllerSecrets, mode: 0o700, owner: users.database)
        try make(state.logsDirectory, mode: 0o750)
        try make(state.clientsDirectory, mode: 0o700)
        try make(state.backupsDirectory, mode: 0o711)
        if compute { try prepareCompute() }
    }

    private func prepareCompute() throws {
        try make(state.imagesDirectory, mode: 0o755)
        try make(state.instancesDirectory, mode: 0o711)
        try make(state.hypervisorDirectory, mode: 0o711)
        // Who may use libvirt's socket is root inside the private host: the controller only.
        try make(state.hypervisorSockets, mode: 0o750, owner: .current, group: users.database?.gid)
    }

    /// Makes the directory itself (and its parents), so that it can be locked.
    package func makeRoot() throws {
        var path = ""
        for part in state.directory.split(separator: "/") {
            path += "/" + part
            if mkdir(path, 0o755) != 0, errno != EEXIST {
                throw CommandFailure.system("make \(path)", errno: errno)
            }
        }
        var status = stat()
        guard stat(state.directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw CommandFailure(.refused, "\(state.directory) is not a directory.")
        }
        guard access(state.directory, W_OK | X_OK) == 0 else {
            throw CommandFailure(
                .refused, "\(state.directory) cannot be written by \(SystemUser.current.name): choose another --state.")
        }
    }

    /// Writes the format file: from now on the directory is a region.
    package func writeFormat() throws {
        try DurableFile.write("\(RegionState.formatVersion)\n", to: state.formatFile, mode: 0o644)
    }

    private func make(_ path: String, mode: mode_t, owner: SystemUser? = nil, group: gid_t? = nil) throws {
        if mkdir(path, mode) != 0, errno != EEXIST { throw CommandFailure.system("make \(path)", errno: errno) }
        guard chmod(path, mode) == 0 else { throw CommandFailure.system("set the mode of \(path)", errno: errno) }
        if let owner {
            guard chown(path, owner.uid, group ?? owner.gid) == 0 else {
                throw CommandFailure.system("give \(path) to \(owner.name)", errno: errno)
            }
        }
    }
}
