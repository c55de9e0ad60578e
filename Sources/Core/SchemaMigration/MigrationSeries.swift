import Crypto

/// One step of a schema, never changed once it has been applied anywhere.
package struct Migration: Sendable, Hashable {
    /// Counts from 1 without gaps.
    package let version: Int
    /// What it does, as `create_resource`.
    package let name: String
    package let sql: String
    /// SHA-256 of the SQL's UTF-8 bytes, lower-case hexadecimal.
    package let checksum: String

    package init(version: Int, name: String, sql: String) {
        self.version = version
        self.name = name
        self.sql = sql
        checksum = Self.digest(Array(sql.utf8))
    }

    static func digest(_ bytes: [UInt8]) -> String {
        SHA256.hash(data: bytes).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}

/// The history of one schema: forward only, versions 1, 2, 3 …
package struct MigrationSeries: Sendable, Hashable {
    /// Names the series in the database: `control`, `region`, `tenant`.
    package let name: String
    /// In the order of their versions.
    package let migrations: [Migration]

    /// - Throws: `.invalidSeries` when versions are doubled or missing.
    package init(name: String, migrations: [Migration]) throws(MigrationError) {
        let sorted = migrations.sorted { left, right in left.version < right.version }
        for (index, migration) in sorted.enumerated() where migration.version != index + 1 {
            throw MigrationError(
                .invalidSeries,
                "the series \(name) must have the versions 1 to \(sorted.count), each once; found \(migration.version)")
        }
        self.name = name
        self.migrations = sorted
    }

    /// Builds a series from embedded files named `V0001__create_resource.sql`.
    /// - Throws: `.invalidSeries` for another file name, bytes that are not UTF-8, or versions doubled or missing.
    package static func from(
        name: String, embedded files: [(name: String, bytes: [UInt8])]
    ) throws(MigrationError) -> MigrationSeries {
        var migrations: [Migration] = []
        for file in files {
            guard let parsed = parse(fileName: file.name) else {
                throw MigrationError(
                    .invalidSeries, "the file \(file.name) is not named like V0001__create_resource.sql")
            }
            guard let sql = String(validating: file.bytes, as: UTF8.self) else {
                throw MigrationError(.invalidSeries, "the file \(file.name) is not UTF-8")
            }
            migrations.append(Migration(version: parsed.version, name: parsed.name, sql: sql))
        }
        return try MigrationSeries(name: name, migrations: migrations)
    }

    /// The last version; 0 for an empty series.
    package var version: Int { migrations.count }

    /// SHA-256 over the checksums of all migrations: two series with the same one make the same schema.
    package var checksum: String {
        Migration.digest(Array(migrations.map(\.checksum).joined(separator: "\n").utf8))
    }

    private static func parse(fileName: String) -> (version: Int, name: String)? {
        guard fileName.hasPrefix("V"), fileName.hasSuffix(".sql") else { return nil }
        let stem = fileName.dropFirst().dropLast(4)
        let digits = stem.prefix { character in character.isASCII && character.isNumber }
        let rest = stem.dropFirst(digits.count)
        guard let version = Int(digits), rest.hasPrefix("__"), rest.count > 2 else { return nil }
        return (version, String(rest.dropFirst(2)))
    }
}
