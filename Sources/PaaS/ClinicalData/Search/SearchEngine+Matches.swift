package import CloudModel
import NIOCore
package import PostgresDriver

/// One page of matches, resource by resource: for callers that put the answers of several databases together.
package struct SearchMatches: Sendable {
    package struct Match: Sendable {
        package let type: ResourceType
        package let id: String
        package let version: Int32
        /// Microseconds since 1970.
        package let lastUpdated: Int64
        /// As it is served: version and time in `meta`, elements left out that were not asked for.
        package let bytes: [UInt8]
        let position: SearchPosition
    }

    package let matches: [Match]
    /// Whether there are more behind the last one.
    package let hasMore: Bool
}

extension SearchEngine {
    /// Answers a plan without includes with its matches instead of a bundle.
    ///
    /// - Parameters: as for ``run(_:on:tenant:baseURL:)``.
    /// - Throws: `SearchError` for a cursor that is not ours, `PostgresError`.
    package func page(
        _ plan: SearchPlan, on connection: PostgresConnection, tenant: TenantID
    ) async throws -> SearchMatches {
        let query = plan.path + "?" + plan.query
        let position = try plan.cursor.map { text throws(SearchError) in
            try cursors.position(text, tenant: tenant, query: query, keys: plan.sort.count)
        }
        let statement = SearchCompiler(plan: plan).page(after: position, limit: plan.count + 1)
        let result = try await self.query(statement, on: connection)
        var subset = SearchSubset(plan: plan, definitions: definitions)
        var matches: [SearchMatches.Match] = []
        matches.reserveCapacity(min(result.count, plan.count))
        for row in result.prefix(plan.count) {
            let found = try Self.row(row)
            let content = Array(found.content.readableBytesView)
            var bytes = try subset.part(
                of: found.type, content, version: found.version, lastUpdated: found.lastUpdated)
            if bytes == nil {
                var served: [UInt8] = []
                served.reserveCapacity(content.count + 96)
                ResourceBytes.append(
                    content: found.content, version: found.version, lastUpdated: found.lastUpdated, to: &served)
                bytes = served
            }
            var keys: [String?] = []
            for index in plan.sort.indices { keys.append(try row.optionalString(6 + index)) }
            matches.append(
                SearchMatches.Match(
                    type: found.type, id: found.id, version: found.version, lastUpdated: found.lastUpdated,
                    bytes: bytes ?? content, position: SearchPosition(keys: keys, rid: found.rid)))
        }
        return SearchMatches(matches: matches, hasMore: result.count > plan.count)
    }

    /// The `_cursor` of a page that begins behind a match.
    package func cursor(after match: SearchMatches.Match, of plan: SearchPlan, tenant: TenantID) -> String {
        cursors.text(match.position, tenant: tenant, query: plan.path + "?" + plan.query)
    }
}
