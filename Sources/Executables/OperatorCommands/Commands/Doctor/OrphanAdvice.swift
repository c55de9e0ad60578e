package import CloudModel

/// What an operator can do about something that the host or a cell holds and no row names.
package struct OrphanAdvice: Sendable {
    let state: RegionState
    /// The URI of a hypervisor that was configured; nil = the region's own.
    let configured: String?

    package init(state: RegionState, configured: String?) {
        self.state = state
        self.configured = configured
    }

    /// - Parameter drift: an item of `/v1/drift` of the kind `orphan`; its name is opaque, by rule.
    package func finding(for drift: JSONValue) -> Finding {
        let name = drift[key: "name"]?.string ?? ""
        let found = drift[key: "found"]?.string ?? ""
        let since = drift[key: "since"]?.string ?? ""
        return Finding(
            "orphan \(name)", .warning, "\(found) that no row names, since \(since)",
            advice: "restore the backup that knows it, or remove it: "
                + commands(name, found).joined(separator: "; "))
    }

    private func commands(_ name: String, _ found: String) -> [String] {
        guard !name.hasPrefix("t_") else { return databaseCommands(name, found) }
        var commands: [String] = []
        if found.contains("domain") { commands += virsh("destroy \(name)") + virsh("undefine \(name)") }
        if found.contains("network") { commands += virsh("net-destroy \(name)") + virsh("net-undefine \(name)") }
        if found.contains("volumes"), configured != nil {
            for end in ["qcow2", "seed", "log"] {
                commands += virsh("vol-delete --pool medcloud-instances \(name).\(end)")
            }
        } else if found.contains("volumes") {
            // libvirt remembers files until it looks at them again.
            commands.append("rm \(state.instancesDirectory)/\(name).*")
            commands += virsh("pool-refresh medcloud-instances")
        }
        return commands
    }

    /// As the clusters' superuser, who is known by the operating system only.
    private func databaseCommands(_ name: String, _ found: String) -> [String] {
        let psql =
            "\(ChildProcess.setpriv) --reuid postgres --regid postgres --init-groups psql"
            + " -h \(state.socketDirectory(cluster: "cell-1")) -U postgres"
        var commands: [String] = []
        if found.contains("database") { commands.append("\(psql) -c 'drop database \(name) with (force)'") }
        if found.contains("roles") { commands.append("\(psql) -c 'drop role if exists \(name)_gw, \(name)'") }
        return commands
    }

    private func virsh(_ command: String) -> [String] {
        ["virsh -c \(TypedCommand.word(configured ?? state.hypervisorURI)) \(command)"]
    }
}
