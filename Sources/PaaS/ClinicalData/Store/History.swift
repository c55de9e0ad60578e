import NIOCore
import PostgresDriver

/// Which versions a history lists.
package enum HistoryScope: Sendable, Hashable {
    case instance(ResourceType, id: String)
    case type(ResourceType)
    /// Everything, or of these types only (the types that the caller may read).
    case system(types: [ResourceType]?)
}

/// Part of a history, newest first.
package struct HistoryPage: Sendable {
    package let entries: [StoredResource]
    /// Where the next page goes on: older than this. nil when this page is the last.
    package let next: Int64?
    /// Of an instance: whether it ever existed. True for the others.
    package let exists: Bool
    /// Of an instance listed whole: how many versions there are.
    package let total: Int?
}

extension ClinicalStore {
    /// Lists versions, newest first. The reading is audited in the same commit.
    ///
    /// Pages are stable: a position is a version (instance) or a place in the order of changes (type, system), and what is
    /// written later sorts before every position handed out.
    ///
    /// - Parameters:
    ///   - count: Versions on a page.
    ///   - since: Microseconds since 1970; only versions at or after it.
    ///   - position: `next` of the page before.
    package func history(
        of scope: HistoryScope, count: Int, since: Int64?, position: Int64?, audit: AuditContext,
        on runner: some StatementRunner
    ) async throws -> HistoryPage {
        let range: [PostgresValue] = [
            .int8(position ?? .max), .timestamptz(since ?? .min), .int4(Int32(clamping: count + 1)),
        ]
        let result: PostgresResult
        switch scope {
        case .instance(let type, let id):
            result = try await runner.run(
                Self.instanceHistory, range + [.int2(type.code), .text(id)] + audit.values)
        case .type(let type):
            result = try await runner.run(Self.typeHistory, range + [.int2(type.code)] + audit.values)
        case .system(let types):
            result = try await runner.run(
                Self.systemHistory,
                range + [.bool(types == nil), .int2Array((types ?? []).map(\.code))] + audit.values)
        }
        // The audit statement answers with one row more, first: whether the resource exists.
        let rows = result.dropFirst()
        let entries = try rows.prefix(count).map { try Self.resource($0) }
        let next = rows.count > count ? try rows[rows.startIndex + count - 1].int8(7) : nil
        var total: Int?
        if case .instance = scope, since == nil { total = try result.first.map { Int(try $0.int4(2)) } }
        return HistoryPage(
            entries: entries, next: next, exists: try result.first?.bool(4) ?? false, total: total)
    }

    // Each statement: $1 position, $2 since, $3 limit; the first row says whether there is anything and how many
    // versions.

    private static func statement(_ versions: String, head: String, audit: String) -> PostgresStatement {
        PostgresStatement(
            """
            with head as materialized (\(head)),
            r as materialized (
                \(versions)
            ), audited as (
                insert into audit.event (action, interaction, outcome, client, practitioner, purpose, request_id, source,
                    origin, type, resource_id, patient)
                \(audit)
            )
            select a.type, a.id, a.version, a.last_updated, a.deleted, a.method, a.content, a.position
            from (
                select 0::int2 as type, '' as id, h.versions as version, now() as last_updated, h.present as deleted,
                    0::int2 as method, '' as content, 9223372036854775807 as position, 0 as part
                from head h
                union all
                select r.type, r.id, r.version, r.last_updated, r.deleted, ascii(r.method::text)::int2, r.content,
                    r.position, 1
                from r
            ) a
            order by a.part, a.position desc
            """)
    }

    private static let instanceHistory = statement(
        """
        select v.*
        from (
            select c.type, c.id, c.version, c.last_updated, c.deleted, c.method, c.content, c.version::int8 as position
            from fhir.resource c
            where c.type = $4 and c.id = $5
            union all
            select h.type, h.id, h.version, h.last_updated, h.deleted, h.method, h.content, h.version
            from fhir.history h
            where h.rid = (select c.rid from fhir.resource c where c.type = $4 and c.id = $5)
        ) v
        where v.position < $1 and v.last_updated >= $2
        order by v.position desc
        limit $3
        """,
        head: """
            select count(*) > 0 as present, min(c.patient) as patient, coalesce(max(c.version), 0) as versions
            from fhir.resource c where c.type = $4 and c.id = $5
            """,
        audit: """
            select 'R', 3, case when h.present then 0 else 4 end, $6, $7, $8, $9, $10, $11, $4, $5,
                coalesce(h.patient, \(ResourceType.patient(of: "$5", type: "$4")))
            from head h
            """)

    private static let typeHistory = statement(
        changes(where: "k.type = $4"), head: "select true as present, 0 as versions",
        audit: "values ('E', 4, 0, $5, $6, $7, $8, $9, $10, $4, null, null)")

    private static let systemHistory = statement(
        changes(where: "($4 or k.type = any ($5))"), head: "select true as present, 0 as versions",
        audit: "values ('E', 5, 0, $6, $7, $8, $9, $10, $11, null, null, null)")

    private static func changes(where condition: String) -> String {
        """
        select k.type, k.id, k.version, k.at as last_updated, k.method = 'D' as deleted, k.method,
            coalesce(c.content, h.content, '') as content, k.seq as position
        from fhir.change k
        left join fhir.resource c on c.rid = k.rid and c.version = k.version
        left join fhir.history h on h.rid = k.rid and h.version = k.version
        where k.seq < $1 and k.at >= $2 and \(condition)
        order by k.seq desc
        limit $3
        """
    }
}
