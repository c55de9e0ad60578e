import NIOCore
import PostgresDriver

/// Reads by id that share one statement, and thereby one commit of their audit rows.
struct ReadBatch {
    private var types: [Int16] = []
    private var ids: [String?] = []
    private var clients: [String?] = []
    private var practitioners: [String?] = []
    private var purposes: [String?] = []
    private var requestIDs: [String?] = []
    private var sources: [String?] = []
    private var origins: [String?] = []

    var count: Int { types.count }

    mutating func append(_ type: ResourceType, id: String, audit: AuditContext) {
        types.append(type.code)
        ids.append(id)
        clients.append(audit.client)
        practitioners.append(audit.practitioner)
        purposes.append(audit.purpose)
        requestIDs.append(audit.requestID)
        sources.append(audit.source)
        origins.append(audit.origin)
    }

    var values: [PostgresValue] {
        [
            .int2Array(types), .textArray(ids), .textArray(clients), .textArray(practitioners), .textArray(purposes),
            .textArray(requestIDs), .textArray(sources), .textArray(origins),
        ]
    }

    /// Answers with one row a read, in order: version, last_updated, deleted, method, content; nulls where nothing is.
    ///
    /// `limit 1` keeps the look-up a probe of the unique index, whatever the planner thinks of the table's size.
    static let statement = PostgresStatement(
        """
        with asked as materialized (
            select a.type, a.id, a.client, a.practitioner, a.purpose, a.request_id, a.source, a.origin, a.ord,
                r.version, r.last_updated, r.deleted, r.method, r.patient, r.content
            from unnest($1, $2, $3, $4, $5, $6, $7, $8) with ordinality
                as a(type, id, client, practitioner, purpose, request_id, source, origin, ord)
            left join lateral (
                select c.version, c.last_updated, c.deleted, c.method, c.patient, c.content
                from fhir.resource c
                where c.type = a.type and c.id = a.id
                limit 1
            ) r on true
        ), audited as (
            insert into audit.event (action, interaction, outcome, client, practitioner, purpose, request_id, source,
                origin, type, resource_id, version, patient)
            select 'R', 1, case when a.deleted is false then 0 else 4 end, a.client, a.practitioner, a.purpose,
                a.request_id, a.source, a.origin, a.type, a.id, a.version, a.patient
            from asked a
        )
        select a.version, a.last_updated, a.deleted, ascii(a.method::text)::int2, a.content
        from asked a
        order by a.ord
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
