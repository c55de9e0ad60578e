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
}
