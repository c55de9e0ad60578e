package import CloudModel
import Glibc
import NIOCore

/// The checks of `medcloud doctor`.
package struct Examination: Sendable {
    let state: RegionState
    let port: Int
    /// PEM file of the authorities that `--ca-file` names.
    let authorities: String?

    package init(state: RegionState, port: Int, authorities: String? = nil) {
        self.state = state
        self.port = port
        self.authorities = authorities
    }

    package func run() async -> [Finding] {
        var findings = [setpriv(), postgres(), users(), executables(), place(), disk(), openFiles(), memory()]
        findings += compute()
        findings += secrets()
        let answer = await answers()
        findings.append(answer)
        if answer.name == "region", answer.result == .good { findings += await orphans() }
        return findings
    }

    private func setpriv() -> Finding {
        access(ChildProcess.setpriv, X_OK) == 0
            ? Finding("setpriv", .good, ChildProcess.setpriv)
            : Finding("setpriv", .missing, "not found", advice: "install Debian's util-linux")
    }

    private func postgres() -> Finding {
        check("PostgreSQL") {
            let found = try PostgresInstallation.find(
                environment: Environment.current, dataVersion: PostgresInstallation.dataVersion(state))
            return "\(found.majorVersion) in \(found.directory)"
        }
    }

    private func users() -> Finding {
        check("users") {
            let users = try RegionUsers.resolve()
            guard let database = users.database, let gateway = users.gateway else {
                return "everything runs as \(SystemUser.current.name)"
            }
            return "\(database.name) and \(gateway.name)"
        }
    }

    private func executables() -> Finding {
        check("executables") { try ExecutableLocation.find(environment: Environment.current).directory }
    }

    /// Instances are an option: without them a region does all the rest.
    private func compute() -> [Finding] {
        do {
            let executables = try ExecutableLocation.find(environment: Environment.current)
            let missing = try ComputeInstallation(executables: executables).missing()
            return missing.isEmpty ? [Finding("compute", .good, "instances can run here")] : missing
        } catch {
            return [Finding("compute", .warning, "unknown", advice: "\(error)")]
        }
    }

    private func place() -> Finding {
        check("state directory") {
            let users = try RegionUsers.resolve()
            let directory = StateDirectory(state: state, users: users)
            try directory.checkPlace()
            let content = try directory.content()
            guard access(state.directory, F_OK) == 0 else { return "\(state.directory) will be made" }
            guard access(state.directory, W_OK | X_OK) == 0 else {
                throw CommandFailure(.refused, "\(state.directory) cannot be written: choose another --state")
            }
            try ExecutableLocation.checkReachable(state, users: users)
            return "\(state.directory), " + (content == .empty ? "empty" : "format \(RegionState.formatVersion)")
        }
    }

    private func disk() -> Finding {
        var statistics = statvfs()
        // A directory that is still to be made lies on the disk of the nearest one above it.
        var path = state.directory
        while access(path, F_OK) != 0, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            path = String(path[..<slash])
        }
        guard statvfs(path, &statistics) == 0 else {
            return Finding("disk", .missing, "unknown", advice: "look at \(path)")
        }
        let free = UInt64(statistics.f_bavail) * UInt64(statistics.f_frsize)
        let text = "\(free >> 20) MiB free"
        if free < StateDirectory.leastFreeBytes {
            return Finding("disk", .missing, text, advice: "free \(StateDirectory.leastFreeBytes >> 20) MiB")
        }
        return free < 5 << 30
            ? Finding("disk", .warning, text, advice: "5 GiB are better") : Finding("disk", .good, text)
    }

    private func openFiles() -> Finding {
        let limit = FileLimit.raise()
        return limit >= FileLimit.wanted
            ? Finding("open files", .good, "\(limit)")
            : Finding(
                "open files", .warning, "\(limit)",
                advice: "raise the hard limit to \(FileLimit.wanted); fewer connections are accepted until then")
    }

    private func memory() -> Finding {
        let bytes = Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE)))
        let text = "\(bytes >> 20) MiB"
        return bytes >= 1 << 30
            ? Finding("memory", .good, text)
            : Finding("memory", .warning, text, advice: "1 GiB is the least for comfort")
    }

    private func secrets() -> [Finding] {
        guard access(state.formatFile, F_OK) == 0 else { return [] }
        return [state.operatorProfile, state.gatewaySecrets + "/region.key", state.controllerSecrets + "/region.key"]
            .map {
                path in
                let name = "secret " + path.dropFirst(state.directory.count + 1)
                var status = stat()
                guard stat(path, &status) == 0 else {
                    return errno == EACCES
                        ? Finding(name, .warning, "not to be seen by \(SystemUser.current.name)")
                        : Finding(name, .missing, "not there", advice: "`medcloud up` makes it, unless data was lost")
                }
                return status.st_mode & 0o077 == 0
                    ? Finding(name, .good, "mode 0600")
                    : Finding(name, .missing, "others may read it", advice: "chmod 600 \(path)")
            }
    }

    private func answers() async -> Finding {
        if let holder = RegionLock.holder(of: state), let file = try? RegionFile.read(state) {
            do {
                let answer = try await RegionConnection.with(trust: Trust(authorities ?? file.caFile)) { connection in
                    try await connection.send(
                        .init(method: "GET", url: file.baseURL + "/readyz", timeout: .seconds(3)))
                }
                if answer.status == 200 { return Finding("region", .good, "answers at \(file.baseURL)") }
            } catch {
                return Finding(
                    "region", .missing, "process \(holder) runs, but is not reached", advice: "\(error)")
            }
            return Finding(
                "region", .missing, "process \(holder) runs, but \(file.baseURL) is not ready", advice: "medcloud logs")
        }
        return check("port") {
            let socket = try ListeningSocket.bind(host: "127.0.0.1", port: port)
            close(socket.descriptor)
            return "\(port) is free"
        }
    }

    /// What the host and the cells hold and no row names. Only a running region knows.
    private func orphans() async -> [Finding] {
        do {
            let profile = try OperatorProfile.read(state.operatorProfile)
            let drift = try await RegionConnection.with(trust: Trust(authorities ?? profile.caFile)) { connection in
                try await PlatformAPI(connection: connection, state: state, profile: profile).drift()
            }
            let orphans = drift.filter { $0[key: "kind"]?.string == "orphan" }
            guard !orphans.isEmpty else { return [Finding("orphans", .good, "none")] }
            let advice = OrphanAdvice(state: state, configured: try RegionFile.read(state).hypervisor)
            return orphans.map(advice.finding)
        } catch {
            return [Finding("orphans", .warning, "unknown", advice: "\(error)")]
        }
    }

    private func check(_ name: String, _ body: () throws -> String) -> Finding {
        do {
            return Finding(name, .good, try body())
        } catch let failure as CommandFailure {
            return Finding(name, .missing, "no", advice: failure.message)
        } catch {
            return Finding(name, .missing, "no", advice: "\(error)")
        }
    }
}
