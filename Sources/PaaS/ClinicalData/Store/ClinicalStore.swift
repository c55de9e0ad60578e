import NIOCore
package import PostgresDriver

/// A tenant's FHIR resources: writes, reads and histories, each with its audit rows in the same commit.
///
/// Stateless: what it works on comes with each call. Every call is one statement and one round trip. Searching is
/// ``SearchEngine``'s.
package struct ClinicalStore: Sendable {
    package init() {}

    /// Writes all operations or none. Rows are locked in one order whatever the order of `operations`.
    ///
    /// - Returns: One outcome an operation, in order.
    /// - Throws: `StoreError` for a refusal, `PostgresError` for the rest.
    package func write(
        _ operations: [WriteOperation], audit: AuditContext, on runner: some StatementRunner
    ) async throws -> [WriteOutcome] {
        guard !operations.isEmpty else { return [] }
        let values = WriteParameters(operations).values(audit)
        do {
            return try Self.outcomes(try await runner.run(WriteParameters.statement, values))
        } catch let error as PostgresError {
            throw StoreError(error) ?? error
        }
    }

    private static func outcomes(_ result: PostgresResult) throws -> [WriteOutcome] {
        try result.map { row in
            guard let effect = WriteOutcome.Effect(rawValue: try row.int2(0)) else {
                throw PostgresError(.decoding, "unknown outcome of fhir.write")
            }
            return WriteOutcome(
                effect: effect, version: try row.optionalInt4(1) ?? 0, lastUpdated: try row.optionalTimestamptz(2) ?? 0)
        }
    }

    /// The current version, deleted ones included; nil when there never was one. The read is audited.
    package func read(
        _ type: ResourceType, id: String, audit: AuditContext, on runner: some StatementRunner
    ) async throws -> StoredResource? {
        var batch = ReadBatch()
        batch.append(type, id: id, audit: audit)
        let result = try await runner.run(ReadBatch.statement, batch.values)
        guard let row = result.first else { return nil }
        return try ReadBatch.resource(row, type, id: id)
    }

    /// The current version without an audit row, for writes that build on it (their own audit row follows).
    ///
    /// - Parameter locking: Whether the row stays locked until the transaction ends.
    package func current(
        _ type: ResourceType, id: String, locking: Bool, on runner: some StatementRunner
    ) async throws -> StoredResource? {
        let result = try await runner.run(
            locking ? Self.currentForUpdate : Self.current, [.int2(type.code), .text(id)])
        return try result.first.map { try Self.resource($0) }
    }

    /// One version; nil when there is no such version. The read is audited.
    package func read(
        _ type: ResourceType, id: String, version: Int32, audit: AuditContext, on runner: some StatementRunner
    ) async throws -> StoredResource? {
        let result = try await runner.run(
            Self.versionRead, [.int2(type.code), .text(id), .int4(version)] + audit.values)
        return try result.first.map { try Self.resource($0) }
    }

    /// One version without an audit row, for readers that judge it before they show it (their own audit row follows).
    package func version(
        _ version: Int32, of type: ResourceType, id: String, on runner: some StatementRunner
    ) async throws -> StoredResource? {
        let result = try await runner.run(Self.versionSelect, [.int2(type.code), .text(id), .int4(version)])
        return try result.first.map { try Self.resource($0) }
    }

    /// Takes locks that last until the transaction ends. Sorted here, so that callers with several never deadlock.
    package func lock(_ keys: some Sequence<String>, on connection: PostgresConnection) async throws {
        let sorted = Set(keys).sorted()
        guard !sorted.isEmpty else { return }
        _ = try await connection.query(Self.locks, [.textArray(sorted)])
    }

    /// Columns: type, id, version, last_updated, deleted, method, content.
    static func resource(_ row: PostgresRow) throws -> StoredResource {
        let code = try row.int2(0)
        let method = try row.int2(5)
        guard let type = ResourceType[code], let method = WriteMethod(rawValue: UInt8(truncatingIfNeeded: method))
        else { throw PostgresError(.decoding, "unknown resource type or method") }
        return StoredResource(
            type: type, id: try row.string(1), version: try row.int4(2), lastUpdated: try row.timestamptz(3),
            isDeleted: try row.bool(4), method: method, content: try row.buffer(6))
    }

    /// What ``resource(_:)`` reads, of a row `r`.
    static let columns = "r.type, r.id, r.version, r.last_updated, r.deleted, ascii(r.method::text)::int2, r.content"

    private static let current = PostgresStatement(
        "select \(columns) from fhir.resource r where r.type = $1 and r.id = $2")
    private static let currentForUpdate = PostgresStatement(
        "select \(columns) from fhir.locked($1, $2) r")

    // unnest keeps the order of the array, and the lock function runs row by row.
    private static let locks = PostgresStatement(
        "select pg_advisory_xact_lock(hashtextextended(k, 7344)) from unnest($1) as k")

    /// The version $3 of the resource of type $1 with the id $2.
    private static let versions = """
        select c.patient, v.type, v.id, v.version, v.last_updated, v.deleted, v.method, v.content
        from fhir.resource c
        cross join lateral (
            select c.type, c.id, c.version, c.last_updated, c.deleted, c.method, c.content
            where c.version = $3
            union all
            select h.type, h.id, h.version, h.last_updated, h.deleted, h.method, h.content
            from fhir.history h
            where h.rid = c.rid and h.version = $3
        ) v
        where c.type = $1 and c.id = $2
        """
    private static let versionSelect = PostgresStatement("select \(columns) from (\(versions)) r")
    private static let versionRead = PostgresStatement(
        """
        with found as materialized (
            \(versions)
        ), audited as (
            insert into audit.event (action, interaction, outcome, client, practitioner, purpose, request_id, source,
                origin, type, resource_id, version, patient)
            select 'R', 2, case when f.deleted is false then 0 else 4 end, $4, $5, $6, $7, $8, $9, $1, $2, $3,
                coalesce(f.patient, \(ResourceType.patient(of: "$2", type: "$1")))
            from (select 1) asked left join found f on true
        )
        select \(columns) from found r
        """)
}
