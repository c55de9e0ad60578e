import NIOCore
import PostgresDriver

/// Which versions a history lists.
package enum HistoryScope: Sendable, Hashable {
    case instance(ResourceType, id: String)
    case type(ResourceType)
    /// Everything, or of these types only (the types that the caller may read).
    case system(types: [ResourceType]?)
}

/// Which versions of a history: all, unless something is said.
package struct HistoryPeriod: Sendable, Hashable {
    /// Only versions that began at or after it. Microseconds since 1970.
    package var since: Int64?
    /// Only versions that were current at some point of it (FHIR R4 http.html#history, `_at`).
    package var at: DateRange?

    package init(since: Int64? = nil, at: DateRange? = nil) {
        self.since = since
        self.at = at
    }

    fileprivate var values: [PostgresValue] {
        [.timestamptz(since ?? .min), .timestamptz(at?.low ?? .min), .timestamptz(at?.high ?? .max)]
    }
}

/// Part of a history, newest first.
package struct HistoryPage: Sendable {
    package let entries: [StoredResource]
    /// Where the next page goes on: older than this. nil when this page is the last.
    package let next: Int64?
    /// Of an instance: whether it ever existed. True for the others.
    package let exists: Bool
    /// How many versions there are: of an instance listed whole, and where that was asked for.
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
    ///   - period: Which versions; see ``HistoryPeriod``.
    ///   - position: `next` of the page before.
    ///   - patient: Of an instance: the patient whose log the reading belongs to; nil = whom the resource is about.
    package func history(
        of scope: HistoryScope, count: Int, in period: HistoryPeriod, position: Int64?, audit: AuditContext,
        patient: String? = nil, on runner: some StatementRunner
    ) async throws -> HistoryPage {
        let range: [PostgresValue] = [.int8(position ?? .max), .int4(Int32(clamping: count + 1))]
        let result = try await Self.run(Self.pages, scope, period, range, audit, patient, on: runner)
        // The audit statement answers with one row more, first: whether the resource exists.
        let rows = result.dropFirst()
        let entries = try rows.prefix(count).map { row in
            var version = try Self.resource(row)
            version.isRestored = try row.bool(8)
            return version
        }
        let next = rows.count > count ? try rows[rows.startIndex + count - 1].int8(7) : nil
        var total: Int?
        if case .instance = scope, period == HistoryPeriod() { total = try result.first.map { Int(try $0.int4(2)) } }
        return HistoryPage(
            entries: entries, next: next, exists: try result.first?.bool(4) ?? false, total: total)
    }

    /// Counts the versions that ``history(of:count:in:position:audit:patient:on:)`` lists on all its pages; audited like it.
    package func historyCount(
        of scope: HistoryScope, in period: HistoryPeriod, audit: AuditContext, on runner: some StatementRunner
    ) async throws -> HistoryPage {
        let result = try await Self.run(Self.counts, scope, period, [.int8(.max), .int4(.max)], audit, nil, on: runner)
        guard let row = result.first else { throw PostgresError(.decoding, "a count of versions gave no row") }
        return HistoryPage(entries: [], next: nil, exists: try row.bool(0), total: Int(try row.int8(1)))
    }

    private static func run(
        _ variants: Variants, _ scope: HistoryScope, _ period: HistoryPeriod, _ range: [PostgresValue],
        _ audit: AuditContext, _ patient: String?, on runner: some StatementRunner
    ) async throws -> PostgresResult {
        let statements = period == HistoryPeriod() ? variants.whole : variants.ofPeriod
        let range = period.values + range
        switch scope {
        case .instance(let type, let id):
            return try await runner.run(
                statements.instance,
                range + [.int2(type.code), .text(id)] + audit.values + [patient.map { .text($0) } ?? .null])
        case .type(let type):
            return try await runner.run(statements.type, range + [.int2(type.code)] + audit.values)
        case .system(let types):
            return try await runner.run(
                statements.system,
                range + [.bool(types == nil), .int2Array((types ?? []).map(\.code))] + audit.values)
        }
    }

    // Each statement: $1 since, $2 and $3 the begin and end of the period, $4 position, $5 limit.

    private struct Statements {
        let instance: PostgresStatement
        let type: PostgresStatement
        let system: PostgresStatement

        init(
            ofPeriod: Bool, _ make: (_ versions: String, _ head: String, _ audit: String) -> PostgresStatement
        ) {
            instance = make(
                ClinicalStore.instanceVersions,
                """
                select count(*) > 0 as present, min(c.patient) as patient, coalesce(max(c.version), 0) as versions
                from fhir.resource c where c.type = $6 and c.id = $7
                """,
                """
                select 'R', 3, case when h.present then 0 else 4 end, $8, $9, $10, $11, $12, $13, $6, $7,
                    coalesce($14, h.patient, \(ResourceType.patient(of: "$7", type: "$6")))
                from head h
                """)
            type = make(
                ClinicalStore.changes(where: "k.type = $6", ofPeriod: ofPeriod),
                "select true as present, 0 as versions",
                "values ('E', 4, 0, $7, $8, $9, $10, $11, $12, $6, null, null)")
            system = make(
                ClinicalStore.changes(where: "($6 or k.type = any ($7))", ofPeriod: ofPeriod),
                "select true as present, 0 as versions",
                "values ('E', 5, 0, $8, $9, $10, $11, $12, $13, null, null, null)")
        }
    }

    /// A history without limits of time is read in its order. A statement that could have limits would be planned as if they
    /// left little over, and read everything for each page.
    private struct Variants {
        let whole: Statements
        let ofPeriod: Statements

        init(_ make: (_ versions: String, _ head: String, _ audit: String) -> PostgresStatement) {
            whole = Statements(ofPeriod: false, make)
            ofPeriod = Statements(ofPeriod: true, make)
        }
    }

    private static let audited = """
        insert into audit.event (action, interaction, outcome, client, practitioner, purpose, request_id, source,
            origin, type, resource_id, patient)
        """

    private static let counts = Variants { versions, head, audit in
        PostgresStatement(
            """
            with head as materialized (\(head)), audited as (\(audited) \(audit))
            select h.present, (select count(*) from (\(versions)) v) from head h
            """)
    }

    /// The first row says whether there is anything and how many versions.
    private static let pages = Variants { versions, head, audit in
        PostgresStatement(
            """
            with head as materialized (\(head)),
            r as materialized (
                \(versions)
            ), audited as (\(audited) \(audit))
            select a.type, a.id, a.version, a.last_updated, a.deleted, a.method, a.content, a.position, a.restored
            from (
                select 0::int2 as type, '' as id, h.versions as version, now() as last_updated, h.present as deleted,
                    0::int2 as method, '' as content, 9223372036854775807 as position, false as restored, 0 as part
                from head h
                union all
                select r.type, r.id, r.version, r.last_updated, r.deleted, ascii(r.method::text)::int2, r.content,
                    r.position,
                    r.version > 1 and exists (
                        select from fhir.history b
                        where b.rid = (select c.rid from fhir.resource c where c.type = r.type and c.id = r.id)
                            and b.version = r.version - 1 and b.deleted
                    ), 1
                from r
            ) a
            order by a.part, a.position desc
            """)
    }

    private static let instanceVersions = """
        select v.type, v.id, v.version, v.last_updated, v.deleted, v.method, v.content, v.position
        from (
            select a.*, lead(a.last_updated) over (order by a.position) as replaced_at
            from (
                select c.type, c.id, c.version, c.last_updated, c.deleted, c.method, c.content,
                    c.version::int8 as position
                from fhir.resource c
                where c.type = $6 and c.id = $7
                union all
                select h.type, h.id, h.version, h.last_updated, h.deleted, h.method, h.content, h.version
                from fhir.history h
                where h.rid = (select c.rid from fhir.resource c where c.type = $6 and c.id = $7)
            ) a
        ) v
        where v.position < $4 and v.last_updated >= $1 and v.last_updated < $3
            and (v.replaced_at is null or v.replaced_at > $2)
        order by v.position desc
        limit $5
        """

    /// The rows of a page come first, their contents by key then. A version was replaced when the next one of its resource
    /// began, which is the current one or in the history.
    private static func changes(where condition: String, ofPeriod: Bool) -> String {
        let period = """
             and k.at >= $1 and k.at < $3
                and ($2 = '-infinity'::timestamptz or $2 < coalesce(
                    (select n.last_updated from fhir.resource n where n.rid = k.rid and n.version = k.version + 1),
                    (select n.last_updated from fhir.history n where n.rid = k.rid and n.version = k.version + 1),
                    'infinity'))
            """
        return """
            select p.type, p.id, p.version, p.at as last_updated, p.method = 'D' as deleted, p.method,
                coalesce(c.content, h.content, '') as content, p.seq as position
            from (
                select k.seq, k.rid, k.type, k.id, k.version, k.method, k.at
                from fhir.change k
                where k.seq < $4 and \(condition)\(ofPeriod ? period : "")
                order by k.seq desc
                limit $5
            ) p
            left join fhir.resource c on c.rid = p.rid and c.version = p.version
            left join fhir.history h on h.rid = p.rid and h.version = p.version
            order by p.seq desc
            """
    }
}
