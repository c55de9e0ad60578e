import NIOCore
import PostgresDriver

/// Reads by id that share one statement, one row of `audit.read_batch` and thereby one commit of their audit.
struct ReadBatch {
    /// Reads of one statement at most; the table's rows hold no more.
    static let maximum = 64

    private var types: [Int16] = []
    private var ids: [String?] = []
    private var requestIDs: [String?] = []
    /// Each read's position in `known`, from 1.
    private var actors: [Int16] = []
    private var known: [AuditActor] = []

    var count: Int { types.count }

    mutating func append(_ type: ResourceType, id: String, audit: AuditContext) {
        if types.isEmpty {
            types.reserveCapacity(Self.maximum)
            ids.reserveCapacity(Self.maximum)
            requestIDs.reserveCapacity(Self.maximum)
            actors.reserveCapacity(Self.maximum)
        }
        types.append(type.code)
        ids.append(id)
        requestIDs.append(audit.requestID)
        // Mostly few, and the one that came last comes again.
        if let position = known.lastIndex(of: audit.actor) {
            actors.append(Int16(position + 1))
        } else {
            known.append(audit.actor)
            actors.append(Int16(known.count))
        }
    }

    var values: [PostgresValue] {
        [
            .int2Array(types), .textArray(ids), .textArray(requestIDs), .int2Array(actors),
            .textArray(known.map(\.client)), .textArray(known.map(\.practitioner)), .textArray(known.map(\.purpose)),
            .textArray(known.map(\.source)), .textArray(known.map(\.origin)),
        ]
    }

    /// Answers with one row a read, in order: version, last_updated, deleted, method, content; nulls where nothing is.
    ///
    /// `limit 1` keeps the look-up a probe of the unique index, whatever the planner thinks of the table's size. The order
    /// costs nothing: it is that in which the arrays are taken apart.
    static let statement = PostgresStatement(
        """
        with found as materialized (
            select r.version, r.last_updated, r.deleted, r.method, r.content,
                coalesce(r.patient, \(ResourceType.patient(of: "a.id", type: "a.type"))) as patient
            from unnest($1, $2) with ordinality as a(type, id, position)
            left join lateral (
                select c.version, c.last_updated, c.deleted, c.method, c.patient, c.content
                from fhir.resource c
                where c.type = a.type and c.id = a.id
                limit 1
            ) r on true
            order by a.position
        ), audited as (
            insert into audit.read_batch (types, ids, versions, outcomes, patients, request_ids, actors, clients,
                practitioners, purposes, sources, origins)
            select $1, $2, array_agg(f.version), array_agg(case when f.deleted is false then 0 else 4 end::int2),
                array_agg(f.patient), $3, $4, $5, $6, $7, $8, $9
            from found f
        )
        select f.version, f.last_updated, f.deleted, ascii(f.method::text)::int2, f.content
        from found f
        """)

    static func resource(_ row: PostgresRow, _ type: ResourceType, id: String) throws(PostgresError) -> StoredResource?
    {
        guard let version = try row.optionalInt4(0) else { return nil }
        guard let method = WriteMethod(rawValue: UInt8(truncatingIfNeeded: try row.int2(3))) else {
            throw PostgresError(.decoding, "unknown method")
        }
        return StoredResource(
            type: type, id: id, version: version, lastUpdated: try row.timestamptz(1), isDeleted: try row.bool(2),
            method: method, content: try row.buffer(4))
    }
}
