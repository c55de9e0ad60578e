package import NIOCore
import PostgresDriver
package import RegionalRecord
package import TenantRegistry

/// Which entries a search finds, and where its page begins.
package struct BlacklistSearch: Sendable {
    /// System and value of the person; nil = everybody.
    package var person: (system: String, value: String)?
    package var status: BlacklistTerms.Status?
    /// Only entries that bar now or later.
    package var barsOnly: Bool
    package var before: RecordVersion.Position?
    package var limit: Int

    package init(
        person: (system: String, value: String)?, status: BlacklistTerms.Status?, barsOnly: Bool,
        before: RecordVersion.Position?,
        limit: Int
    ) {
        self.person = person
        self.status = status
        self.barsOnly = barsOnly
        self.before = before
        self.limit = limit
    }
}

/// The entries of the blacklist in the region database, for those who write and read them. Each call is one transaction,
/// committed when it returns, with its audit row.
package struct BlacklistDatabase: Sendable {
    private let region: RegionDatabase

    package init(region: RegionDatabase) {
        self.region = region
    }

    private static let columns = "id::text, version, recorded_at, content"

    private static let writeStatement = PostgresStatement(
        """
        select \(columns)
        from blacklist.write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """)

    /// Records an entry or a new version of one. The caller has checked that the institution is the bureau.
    ///
    /// - Parameters:
    ///   - creates: whether `id` is a new identity.
    ///   - expected: the version of `If-Match`; nil = any.
    ///   - content: stored form.
    ///   - request: when the same request shall write once; its repetition gets what the first one wrote.
    /// - Throws: `unknown-entry`, `person-changed`, `period-changed`, `version-conflict`, `illegal-transition`, `key-reused`.
    package func write(
        _ terms: BlacklistTerms, id: RegionID, creates: Bool, expected: Int32?, content: ByteBuffer,
        request: RepeatableRequest?, by asker: Asker
    ) async throws(BlacklistError) -> RecordVersion {
        let values: [PostgresValue] = [
            .uuid(id.text), .bool(creates), .int4(expected ?? 0), .text(terms.person.system), .text(terms.person.value),
            .text(terms.status.rawValue), .timestamptz(terms.starts), .timestamptz(terms.ends), .utf8(content),
        ]
        let rows = try await call(
            Self.writeStatement, asker.values + values + (request?.values ?? [.null, .null, .null]))
        guard let record = try Self.records(rows).first else { throw BlacklistError(.failed) }
        return record
    }

    private static let writtenStatement = PostgresStatement(
        "select \(columns) from blacklist.written($1, $2, $3, $4, $5)")

    /// What the same request wrote before; nil when it did not.
    ///
    /// - Throws: `key-reused`.
    package func written(
        by request: RepeatableRequest, by asker: Asker
    ) async throws(BlacklistError) -> RecordVersion? {
        try Self.records(try await call(Self.writtenStatement, asker.values + request.values)).first
    }

    private static let entriesStatement = PostgresStatement(
        "select \(columns) from blacklist.entries($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")

    /// The current version of an entry; nil when there is none. Recorded.
    package func entry(_ id: RegionID, by asker: Asker) async throws(BlacklistError) -> RecordVersion? {
        let rows = try await call(
            Self.entriesStatement,
            asker.values + [.uuid(id.text), .null, .null, .null, .bool(false), .null, .null, .int4(1), .null])
        return try Self.records(rows).first
    }

    /// Entries, newest first, one more than the limit when there are more. Recorded.
    package func entries(
        _ search: BlacklistSearch, query: String, by asker: Asker
    ) async throws(BlacklistError) -> [RecordVersion] {
        let rows = try await call(
            Self.entriesStatement,
            asker.values + [
                .null, search.person.map { .text($0.system) } ?? .null, search.person.map { .text($0.value) } ?? .null,
                search.status.map { .text($0.rawValue) } ?? .null, .bool(search.barsOnly),
                search.before.map { .timestamptz($0.recordedAt) } ?? .null,
                search.before.map { .uuid($0.id.text) } ?? .null, .int4(Int32(clamping: search.limit + 1)),
                .text(query),
            ])
        return try Self.records(rows)
    }

    // The function with no limit: the rows stay in the database.
    private static let countStatement = PostgresStatement(
        "select count(*) from blacklist.entries($1, $2, null, $3, $4, $5, $6, null, null, null, $7)")

    /// How many entries a search finds, wherever its page begins. Recorded.
    package func count(
        _ search: BlacklistSearch, query: String, by asker: Asker
    ) async throws(BlacklistError) -> Int64 {
        let rows = try await call(
            Self.countStatement,
            asker.values + [
                search.person.map { .text($0.system) } ?? .null, search.person.map { .text($0.value) } ?? .null,
                search.status.map { .text($0.rawValue) } ?? .null, .bool(search.barsOnly), .text(query),
            ])
        return try Self.read { () throws(PostgresError) in try rows[0].int8(0) }
    }

    private static let versionsStatement = PostgresStatement(
        "select version, recorded_at, method, content from blacklist.versions($1, $2, $3, $4)")

    /// The versions of an entry, newest first, or one of them. Recorded.
    package func versions(
        of id: RegionID, version: Int32?, by asker: Asker
    ) async throws(BlacklistError) -> [RecordVersion] {
        let rows = try await call(
            Self.versionsStatement, asker.values + [.uuid(id.text), version.map { .int4($0) } ?? .null])
        return try Self.read { () throws(PostgresError) in try RecordVersion.history(of: id, rows) }
    }

    private func call(
        _ statement: PostgresStatement, _ values: [PostgresValue]
    ) async throws(BlacklistError) -> PostgresResult {
        do {
            return try await region.call(statement, values)
        } catch let error as PostgresError {
            throw BlacklistError(error)
        } catch {
            throw BlacklistError(.unavailable)
        }
    }

    private static func records(_ rows: PostgresResult) throws(BlacklistError) -> [RecordVersion] {
        try read { () throws(PostgresError) in try RecordVersion.current(rows) }
    }

    /// Reads rows; a column that is not what it should be means a database of another version.
    private static func read<R>(_ body: () throws(PostgresError) -> R) throws(BlacklistError) -> R {
        do throws(PostgresError) {
            return try body()
        } catch {
            throw BlacklistError(.failed, cause: error)
        }
    }
}
