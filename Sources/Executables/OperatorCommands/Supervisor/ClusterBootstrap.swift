package import CloudModel
import Glibc

/// Makes the clusters on first use, and writes their configuration at every start.
package struct ClusterBootstrap: Sendable {
    package let state: RegionState
    package let users: RegionUsers
    package let installation: PostgresInstallation

    package init(state: RegionState, users: RegionUsers, installation: PostgresInstallation) {
        self.state = state
        self.users = users
        self.installation = installation
    }

    package var missing: [String] {
        RegionState.clusters.filter { access(state.dataDirectory(cluster: $0) + "/PG_VERSION", F_OK) != 0 }
    }

    /// Runs `initdb` for each missing cluster, at the same time. Each is made beside its place and renamed when it is
    /// complete, so a first run that was interrupted leaves nothing half done.
    package func initialize() throws {
        var running: [(cluster: String, pid: Int32)] = []
        for cluster in missing {
            let unfinished = state.dataDirectory(cluster: cluster) + ".new"
            try removeTree(unfinished)
            running.append((cluster, try ChildProcess.spawn(initdb(into: unfinished, cluster: cluster))))
        }
        var failure: CommandFailure?
        for (cluster, pid) in running {
            let reason = ChildProcess.wait(pid)
            guard reason == .exited(0) else {
                let log = state.logFile(process: "initdb-\(cluster)")
                let last = LogTail.lines(of: log, count: 1).first ?? reason.description
                failure = CommandFailure(.failed, "initdb of the cluster \(cluster) failed: \(last) (\(log)).")
                continue
            }
            let target = state.dataDirectory(cluster: cluster)
            guard rename(target + ".new", target) == 0 else {
                throw CommandFailure.system("rename \(target).new", errno: errno)
            }
            DurableFile.syncDirectory(of: target)
        }
        if let failure { throw failure }
    }

    private func initdb(into directory: String, cluster: String) -> ProcessSpecification {
        var specification = ProcessSpecification(
            name: "initdb", executable: installation.binary("initdb"),
            arguments: [
                "--pgdata", directory, "--username", "postgres", "--encoding", "UTF8", "--locale", "C.UTF-8",
                "--data-checksums", "--auth", "peer", "--no-instructions",
            ],
            environment: Environment.minimal)
        specification.user = users.database
        specification.logFile = state.logFile(process: "initdb-\(cluster)")
        return specification
    }

    /// Writes `postgresql.conf`, `pg_hba.conf` and `pg_ident.conf` where they differ from what they should be.
    package func writeConfiguration() throws {
        for cluster in RegionState.clusters {
            let data = state.dataDirectory(cluster: cluster)
            let files = [
                ("postgresql.conf", PostgresProfile.configuration(cluster: cluster, state: state)),
                ("pg_hba.conf", PostgresProfile.hostBasedAuthentication),
                ("pg_ident.conf", PostgresProfile.identities(operatingSystemUser: users.databaseUserName)),
            ]
            for (name, text) in files where DurableFile.text("\(data)/\(name)") != text {
                try DurableFile.write(text, to: "\(data)/\(name)", mode: 0o600, owner: users.database)
            }
        }
    }

    /// How to start a cluster.
    package func server(cluster: String) -> ProcessSpecification {
        var specification = ProcessSpecification(
            name: cluster, executable: installation.binary("postgres"),
            arguments: ["-D", state.dataDirectory(cluster: cluster)], environment: Environment.minimal)
        specification.user = users.database
        specification.logFile = state.logFile(process: cluster)
        specification.deathSignal = .quit
        return specification
    }

    /// Whether the postmaster with this process id has said in `postmaster.pid` that it accepts connections.
    /// Line 1 is the process id, line 8 the status ("starting", "ready", "stopping").
    package func isReady(cluster: String, pid: Int32) -> Bool {
        guard let text = DurableFile.text(state.dataDirectory(cluster: cluster) + "/postmaster.pid") else {
            return false
        }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.count >= 8 && lines[0] == String(pid) && lines[7].hasPrefix("ready")
    }

    private func removeTree(_ path: String) throws {
        guard access(path, F_OK) == 0 else { return }
        let specification = ProcessSpecification(
            name: "rm", executable: "/bin/rm", arguments: ["-rf", "--", path], environment: Environment.minimal)
        guard try ChildProcess.run(specification) == .exited(0) else {
            throw CommandFailure(.failed, "Cannot remove \(path), left by an interrupted first run.")
        }
    }
}
