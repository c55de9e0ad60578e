import Foundation

/// `manifest.json` of a backup: what it holds and the checksums of it.
package struct BackupManifest: Codable, Sendable, Equatable {
    /// The layout of backups that this build reads and writes.
    package static let currentFormat = 1

    package struct File: Codable, Sendable, Equatable {
        /// Relative to the backup.
        package var path: String
        package var sha256: String
    }

    package var format: Int
    package var id: String
    /// RFC 3339, when the backup began.
    package var createdAt: String
    package var version: String
    package var stateFormat: Int
    package var postgresVersion: Int
    package var clusters: [String]
    package var tenants: [String]
    /// Secrets, profiles and Postgres's own manifests; the files of the clusters are in those.
    package var files: [File]
    package var bytes: Int64

    package var value: JSONValue {
        get throws { try JSONValue(parsing: try JSONEncoder().encode(self)) }
    }

    /// The manifest of the backup at `path`.
    package static func read(_ path: String) throws -> BackupManifest {
        guard let bytes = try? DurableFile.read(path + "/manifest.json") else {
            throw CommandFailure(
                .notFound, "There is no backup in \(path): manifest.json is missing or cannot be read.")
        }
        guard let manifest = try? JSONDecoder().decode(BackupManifest.self, from: Data(bytes)) else {
            throw CommandFailure(.failed, "\(path)/manifest.json is damaged.")
        }
        guard manifest.format <= currentFormat else {
            throw CommandFailure(
                .refused, "\(path) was written by a newer medcloud (\(manifest.version)): use that version.")
        }
        return manifest
    }
}
