package import CloudModel
import NIOCore
package import PostgresDriver

/// Search over the current resources of a tenant.
///
/// `plan` understands and checks a request without touching data; `run` answers it. Both are cheap to call from
/// anywhere: the engine has no state but the definitions and the key of its cursors.
package struct SearchEngine: Sendable {
    package let definitions: Definitions
    let cursors: SearchCursor

    /// - Parameter cursorKey: Signs cursors; at least 32 bytes, the same at every worker.
    package init(definitions: Definitions, cursorKey: [UInt8]) {
        self.definitions = definitions
        cursors = SearchCursor(key: cursorKey)
    }

    /// Understands a request.
    ///
    /// - Parameter allowedTypes: Whether the caller may search and read a type. Chains, `_has` and includes touch no
    ///   other type, so that nothing can be inferred from an answer; a search over all types is one over these.
    /// - Throws: `SearchError`; under lenient handling only for what cannot be left out.
    package func plan(_ request: SearchRequest, allowedTypes: (ResourceType) -> Bool) throws(SearchError) -> SearchPlan
    {
        try withoutActuallyEscaping(allowedTypes) { allows throws(SearchError) in
            try SearchPlanner(definitions: definitions, request: request, allows: allows).plan()
        }
    }

    /// Answers a plan with the bytes of a searchset Bundle.
    ///
    /// - Parameters:
    ///   - connection: Reads only; a read-only transaction gives page, total and includes one snapshot.
    ///   - tenant: Whose database the connection is in; cursors are bound to it.
    ///   - baseURL: The tenant's FHIR base without a trailing slash, for links and `fullUrl`.
    /// - Throws: `SearchError` for a cursor that is not ours, `PostgresError`.
    package func run(
        _ plan: SearchPlan, on connection: PostgresConnection, tenant: TenantID, baseURL: String
    ) async throws -> [UInt8] {
        var page = try SearchPage(plan, cursors: cursors, tenant: tenant, baseURL: baseURL)
        guard !plan.isAudit else { return try await runAudit(plan, page, on: connection, baseURL: baseURL) }
        if plan.countsOnly {
            return page.count(try await count(plan, on: connection), baseURL: baseURL)
        }

        let statement = SearchCompiler(plan: plan).page(after: page.position, limit: plan.count + 1)
        let result = try await query(statement, on: connection)
        let rows = try result.prefix(plan.count).map { row throws(PostgresError) in try Self.row(row) }
        if result.count > plan.count, let last = rows.last {
            try page.addNext(plan, after: result[plan.count - 1], firstKey: 6, rid: last.rid)
        }
        var total: Int64?
        if plan.total == .counted {
            total = try await count(plan, on: connection)
        } else if plan.total == .whenKnown, page.position == nil, result.count <= plan.count {
            total = Int64(rows.count)
        }
        let (included, isComplete) = try await included(plan, by: rows, on: connection)
        if !isComplete { page.warnIncomplete() }

        var subset = SearchSubset(plan: plan, definitions: definitions)
        let size = (rows + included).reduce(1024) { $0 + $1.content.readableBytes + 300 }
        var bundle = page.bundle(total: total, baseURL: baseURL, capacity: size)
        for row in rows { try subset.add(row, mode: .match, to: &bundle) }
        for row in included { try subset.add(row, mode: .include, to: &bundle) }
        bundle.addOutcome(page.warnings)
        return bundle.finish()
    }

    /// The first matches of a plan's conditions, for conditional interactions inside the caller's transaction.
    package func matches(_ plan: SearchPlan, on connection: PostgresConnection, limit: Int) async throws -> [(
        rid: Int64, id: String, version: Int32
    )] {
        let statement = SearchCompiler(plan: plan).matches(limit: limit)
        let result = try await connection.query(PostgresStatement(statement.sql), statement.values)
        return try result.map { row in (try row.int8(0), try row.string(1), try row.int4(2)) }
    }

    /// Equal conditions give equal text, for the lock of conditional interactions.
    package func canonicalCriteria(_ plan: SearchPlan) -> String { plan.canonicalCriteria }

    // MARK: Parts

    /// How many resources match.
    package func count(_ plan: SearchPlan, on connection: PostgresConnection) async throws -> Int64 {
        let result = try await query(SearchCompiler(plan: plan).count(), on: connection)
        return try result[0].int8(0)
    }

    /// Follows includes; `:iterate` goes on from what was included until there is nothing new, or more than may be included.
    /// Each round brings at least one resource, so their bound is that of the rounds too.
    private func included(_ plan: SearchPlan, by rows: [SearchRow], on connection: PostgresConnection) async throws
        -> (rows: [SearchRow], isComplete: Bool)
    {
        var included: [SearchRow] = []
        var includes = plan.includes
        var start = rows.map(\.rid)
        var present = start
        while !includes.isEmpty, !start.isEmpty {
            let room = SearchRules.maximumIncluded - included.count
            let statement = SearchCompiler(plan: plan)
                .included(by: start, includes, besides: present, limit: room + 1)
            let result = try await query(statement, on: connection)
            let found = try result.prefix(room).map { row throws(PostgresError) in try Self.row(row) }
            included += found
            guard result.count <= room else { return (included, false) }
            start = found.map(\.rid)
            present += start
            includes = includes.filter(\.iterates)
        }
        return (included, true)
    }

    func query(_ statement: SearchStatement, on connection: PostgresConnection) async throws -> PostgresResult {
        let results = try await connection.pipeline([
            (Self.settings, []), (PostgresStatement(statement.sql), statement.values),
        ])
        return results[1]
    }

    /// How Postgres plans searches, until the transaction ends. A plan for the values at hand: a common code and a rare
    /// one need different plans, and one for neither suits neither. Indexes are in memory. Statements this short gain
    /// nothing from being compiled or shared between processes.
    static let settings = PostgresStatement(
        """
        select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('random_page_cost', '1.1', true),
            set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)
        """)

    static func row(_ row: PostgresRow) throws(PostgresError) -> SearchRow {
        guard let type = ResourceType[try row.int2(1)] else {
            throw PostgresError(.decoding, "unknown resource type")
        }
        return SearchRow(
            rid: try row.int8(0), type: type, id: try row.string(2), version: try row.int4(3),
            lastUpdated: try row.timestamptz(4), content: try row.buffer(5))
    }
}
