/// Where one region keeps what it owns on this machine. Every path in the product is derived here.
///
/// ```
/// DIR/format                      the layout's version, "1"
/// DIR/region.json                 port, base URL, process ids: written by the supervisor
/// DIR/operator.json               the operator's profile, mode 0600
/// DIR/clients/TENANT/CLIENT.json  client keys handed out by `medcloud tenant create`, mode 0600
/// DIR/secrets/gateway/region.key  32 random bytes, readable by the workers only
/// DIR/secrets/controller/region.key  the same bytes, readable by the controller only
/// DIR/postgres/control            data directory of the cluster of `control` and `region`
/// DIR/postgres/cell-1             data directory of the first tenant cell
/// DIR/run/control, DIR/run/cell-1 socket directories of the two clusters
/// DIR/images                      base images of instances, each file named after its content
/// DIR/instances                   disks, seeds and console logs of instances
/// DIR/hypervisor                  what the private libvirtd keeps
/// DIR/run/hypervisor              its sockets, and its agent's
/// DIR/logs                        one file a process
/// DIR/backups                     region backups
/// ```
package struct RegionState: Sendable, Hashable {
    package let directory: String

    /// `directory` must be absolute.
    package init(directory: String) {
        self.directory = directory
    }

    package static let formatVersion = 1

    package var formatFile: String { directory + "/format" }
    package var regionFile: String { directory + "/region.json" }
    package var operatorProfile: String { directory + "/operator.json" }
    package var clientsDirectory: String { directory + "/clients" }
    package var gatewaySecrets: String { directory + "/secrets/gateway" }
    package var controllerSecrets: String { directory + "/secrets/controller" }
    package var logsDirectory: String { directory + "/logs" }
    package var backupsDirectory: String { directory + "/backups" }

    /// The data directory of the Postgres cluster `cluster` ("control", "cell-1").
    package func dataDirectory(cluster: String) -> String { directory + "/postgres/" + cluster }
    /// The Unix socket directory of the Postgres cluster `cluster`. Its port is always 5432.
    package func socketDirectory(cluster: String) -> String { directory + "/run/" + cluster }

    // MARK: The private hypervisor

    package var imagesDirectory: String { directory + "/images" }
    package var instancesDirectory: String { directory + "/instances" }
    /// Configuration, state and cache of the private libvirtd.
    package var hypervisorDirectory: String { directory + "/hypervisor" }
    package var hypervisorSockets: String { directory + "/run/hypervisor" }
    /// Where probes and operators reach the guests, whose networks exist inside the private hypervisor only.
    package var hypervisorAgent: String { hypervisorSockets + "/agent-sock" }
    /// What libvirt's clients connect to.
    package var hypervisorURI: String {
        let path = (hypervisorSockets + "/libvirt-sock").utf8.map { byte -> String in
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "-._~/".utf8.contains(byte)
            if isPlain { return String(UnicodeScalar(byte)) }
            let digits = String(byte, radix: 16, uppercase: true)
            return "%" + (digits.count == 1 ? "0" : "") + digits
        }
        return "qemu+unix:///system?socket=" + path.joined()
    }
}
