package import Logging
package import PostgresDriver

/// Brings a database to the last version of a series: each migration in its own transaction, one runner at a time, and
/// nothing when there is nothing to do. `medcloud.schema_migration` records what was applied.
package struct Migrator: Sendable {
    private let series: MigrationSeries
    private let logger: Logger?

    package init(_ series: MigrationSeries, logger: Logger? = nil) {
        self.series = series
        self.logger = logger
    }

    private struct Applied {
        let version: Int
        let name: String
        let checksum: String
    }

    /// Runs what is missing.
    /// - Parameter role: the role that owns what the migrations create (`SET ROLE`).
    /// - Returns: the versions applied by this call.
    /// - Throws: `MigrationError`, or `PostgresError` when the connection fails.
    @discardableResult
    package func run(on connection: PostgresConnection, role: String? = nil) async throws -> [Int] {
        let lock: [PostgresValue] = [.text("medcloud.schema_migration")]
        // Waiting for another runner is bounded by the connection's deadline and statement_timeout.
        try await connection.query(Self.lock, lock)
        do {
            if let role {
                try await connection.execute("set role " + quotedIdentifier(role))
            }
            let versions = try await runLocked(on: connection)
            try await release(connection, lock)
            return versions
        } catch {
            // The error of the migration is the one that counts; a lost connection releases the lock by itself.
            try? await connection.execute("rollback")
            try? await release(connection, lock)
            throw error
        }
    }

    private func release(_ connection: PostgresConnection, _ lock: [PostgresValue]) async throws {
        try await connection.execute("reset role")
        try await connection.query(Self.unlock, lock)
    }

    private func runLocked(on connection: PostgresConnection) async throws -> [Int] {
        try await connection.execute(Self.createTable)
        let applied = try await appliedMigrations(on: connection)
        try check(applied)
        var versions: [Int] = []
        for migration in series.migrations.dropFirst(applied.count) {
            try await apply(migration, on: connection)
            versions.append(migration.version)
        }
        return versions
    }

    private func appliedMigrations(on connection: PostgresConnection) async throws -> [Applied] {
        try await connection.query(Self.selectApplied, [.text(series.name)]).map { row in
            Applied(version: Int(try row.int4(0)), name: try row.string(1), checksum: try row.string(2))
        }
    }

    private func check(_ applied: [Applied]) throws(MigrationError) {
        for (index, entry) in applied.enumerated() {
            guard entry.version == index + 1 else {
                throw MigrationError(
                    .invalidSeries,
                    "the database has version \(entry.version) of the series \(series.name) without the one before it")
            }
            guard index < series.migrations.count else {
                throw MigrationError(
                    .databaseIsNewer,
                    """
                    the database has version \(applied.count) of the series \(series.name), this program knows \
                    \(series.version): run the newer program
                    """)
            }
            let known = series.migrations[index]
            guard known.checksum == entry.checksum else {
                throw MigrationError(
                    .checksumChanged,
                    """
                    version \(entry.version) (\(known.name)) of the series \(series.name) was changed after it had been \
                    applied: undo the change and add a new version
                    """)
            }
        }
    }

    private func apply(_ migration: Migration, on connection: PostgresConnection) async throws {
        do {
            try await connection.execute("begin")
            try await connection.execute(migration.sql)
            try await connection.query(
                Self.insertApplied,
                [
                    .text(series.name), .int4(Int32(migration.version)), .text(migration.name),
                    .text(migration.checksum),
                ])
            try await connection.execute("commit")
        } catch let error as PostgresError where error.code == .server {
            throw MigrationError(
                .failed,
                """
                version \(migration.version) (\(migration.name)) of the series \(series.name) failed: \
                \(error.serverMessage) (SQLSTATE \(error.sqlState ?? "none"))
                """,
                cause: error)
        }
        logger?.info(
            "schema migrated",
            metadata: ["migration.series": "\(series.name)", "migration.version": "\(migration.version)"])
    }

    private static let lock = PostgresStatement("select pg_advisory_lock(hashtextextended($1, 0))")
    private static let unlock = PostgresStatement("select pg_advisory_unlock(hashtextextended($1, 0))")
    private static let createTable = """
        create schema if not exists medcloud;
        create table if not exists medcloud.schema_migration (
            series text collate "C" not null,
            version integer not null,
            name text not null,
            checksum text not null,
            applied_at timestamptz not null default clock_timestamp(),
            primary key (series, version)
        );
        """
    private static let selectApplied = PostgresStatement(
        """
        select version, name, checksum
        from medcloud.schema_migration
        where series = $1
        order by version
        """)
    private static let insertApplied = PostgresStatement(
        """
        insert into medcloud.schema_migration (series, version, name, checksum)
        values ($1, $2, $3, $4)
        """)
}
