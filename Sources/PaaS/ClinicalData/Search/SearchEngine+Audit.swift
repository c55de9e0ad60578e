import CloudModel
import NIOCore
import PostgresDriver

// AuditEvent: its resources are written from compact rows when they are asked for.

extension SearchEngine {
    func runAudit(
        _ plan: SearchPlan, _ page: SearchPage, on connection: PostgresConnection, baseURL: String
    ) async throws -> [UInt8] {
        func count() async throws -> Int64 {
            let statement = AuditCompiler(plan: plan, definitions: definitions).count()
            return try await query(statement, on: connection)[0].int8(0)
        }
        var answer = page
        if plan.countsOnly { return page.count(try await count(), baseURL: baseURL) }

        let statement = AuditCompiler(plan: plan, definitions: definitions)
            .page(after: page.position, limit: plan.count + 1)
        let result = try await query(statement, on: connection)
        let rows = try result.prefix(plan.count).map { row throws(PostgresError) in try AuditRow(row) }
        if result.count > plan.count, let last = rows.last {
            try answer.addNext(plan, after: result[plan.count - 1], firstKey: 15, rid: last.sequence)
        }
        let total =
            switch plan.total {
            case .counted: try await count()
            case .whenKnown where page.position == nil && result.count <= plan.count: Int64(rows.count)
            case .whenKnown, .none: nil as Int64?
            }
        let (included, isComplete) = try await included(plan, by: rows, on: connection)
        if !isComplete { answer.warnIncomplete() }

        var bundle = answer.bundle(total: total, baseURL: baseURL)
        var subset = SearchSubset(plan: plan, definitions: definitions)
        let renderer = AuditEventRenderer(baseURL: baseURL)
        for row in rows {
            let bytes = renderer.render(row)
            let part = try subset.part(of: plan.types[0], bytes, version: 1, lastUpdated: row.recorded)
            bundle.add(plan.types[0], id: row.id, resource: part ?? bytes, mode: .match)
        }
        for row in included { try subset.add(row, mode: .include, to: &bundle) }
        bundle.addOutcome(answer.warnings)
        return bundle.finish()
    }

    /// What the events refer to, and what refers to them.
    private func included(
        _ plan: SearchPlan, by rows: [AuditRow], on connection: PostgresConnection
    ) async throws -> (rows: [SearchRow], isComplete: Bool) {
        guard !plan.includes.isEmpty, !rows.isEmpty else { return ([], true) }
        var (types, ids): ([Int16], [String]) = ([], [])
        for include in plan.includes where !include.reverse {
            let parameters = include.parameters.compactMap { definitions.parameter(id: $0)?.code }
            for row in rows {
                for (type, id) in parameters.flatMap({ Self.targets(of: $0, in: row) })
                where include.targets.contains(type.code) {
                    types.append(type.code)
                    ids.append(id)
                }
            }
        }
        let referring = plan.includes.filter(\.reverse).flatMap(\.parameters)
        let result = try await query(
            SearchStatement(
                sql: """
                    select r.rid, r.type, r.id, r.version, r.last_updated, r.content
                    from (select distinct a.rid from (select t.rid from unnest($1::int2[], $2::text[]) v(type, id) \
                    join fhir.resource t on t.type = v.type and t.id = v.id union all \
                    select f.rid from fhir.reference f \
                    where f.param = any($3) and f.target_type = $4 and f.target_id = any($5)) a) i
                    join fhir.resource r on r.rid = i.rid and not r.deleted
                    order by r.rid
                    limit $6
                    """,
                values: [
                    .int2Array(types), .textArray(ids), .int4Array(referring), .int2(plan.types[0].code),
                    .textArray(rows.map(\.id)), .int8(Int64(SearchRules.maximumIncluded + 1)),
                ]), on: connection)
        let found = try result.prefix(SearchRules.maximumIncluded).map { row throws(PostgresError) in
            try Self.row(row)
        }
        return (found, result.count <= SearchRules.maximumIncluded)
    }

    private static func targets(of parameter: String, in row: AuditRow) -> [(ResourceType, String)] {
        AuditColumns.references(parameter).compactMap { reference in
            switch reference {
            case .patient: ResourceType.named("Patient").flatMap { type in row.patient.map { (type, $0) } }
            case .resource: row.type.flatMap { type in row.resourceID.map { (type, $0) } }
            case .practitioner:
                switch row.practitioner.map({ ReferenceTarget($0, baseURL: "") }) {
                case .local(let type, let id): (type, id)
                case .other, nil: nil
                }
            }
        }
    }
}
