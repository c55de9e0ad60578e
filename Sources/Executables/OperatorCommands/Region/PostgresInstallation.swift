package import CloudModel
import Glibc

/// The PostgreSQL binaries that a region uses.
package struct PostgresInstallation: Sendable, Equatable {
    package let directory: String
    package let majorVersion: Int

    /// The oldest major version that medcloud runs on (Debian 12's).
    package static let oldestVersion = 15

    package func binary(_ name: String) -> String { directory + "/" + name }

    /// MEDCLOUD_POSTGRES_BIN, else the newest of Debian's installations that `dataVersion` allows.
    /// - Parameter dataVersion: the major version that existing data was written by; data is never upgraded silently.
    package static func find(environment: [String: String], dataVersion: Int?) throws -> PostgresInstallation {
        var found: [PostgresInstallation] = []
        if let directory = environment["MEDCLOUD_POSTGRES_BIN"] {
            // Named by hand: its version is taken from the data, or believed to be the oldest that will do.
            found = [PostgresInstallation(directory: directory, majorVersion: dataVersion ?? oldestVersion)]
        } else {
            for name in StateDirectory.names(in: "/usr/lib/postgresql") ?? [] {
                if let version = Int(name), version >= oldestVersion {
                    found.append(
                        PostgresInstallation(directory: "/usr/lib/postgresql/\(name)/bin", majorVersion: version))
                }
            }
        }
        let usable = found.filter { installation in
            ["initdb", "postgres", "pg_basebackup", "pg_verifybackup"].allSatisfy {
                access(installation.binary($0), X_OK) == 0
            }
        }
        if let dataVersion {
            guard let match = usable.first(where: { $0.majorVersion == dataVersion }) else {
                throw CommandFailure(
                    .refused,
                    "This region's data was written by PostgreSQL \(dataVersion), which is not installed: "
                        + "install Debian's postgresql-\(dataVersion).")
            }
            return match
        }
        guard let newest = usable.max(by: { $0.majorVersion < $1.majorVersion }) else {
            throw CommandFailure(
                .refused,
                "PostgreSQL \(oldestVersion) or later was not found: install Debian's postgresql-\(oldestVersion), "
                    + "or run ops/up, or name its directory in MEDCLOUD_POSTGRES_BIN.")
        }
        return newest
    }

    /// The major version that wrote a region's data, or nil on an empty state.
    package static func dataVersion(_ state: RegionState) -> Int? {
        for cluster in RegionState.clusters {
            if let text = DurableFile.text(state.dataDirectory(cluster: cluster) + "/PG_VERSION") {
                return Int(text.filter { !$0.isWhitespace })
            }
        }
        return nil
    }
}
