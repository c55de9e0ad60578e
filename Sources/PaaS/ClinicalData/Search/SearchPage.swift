import CloudModel
import PostgresDriver

/// What a page's bundle says besides its resources.
struct SearchPage: Sendable {
    /// Where the page begins; nil for the first.
    let position: SearchPosition?
    private(set) var links: [(relation: String, url: String)]
    private(set) var warnings: [(severity: String, code: String, diagnostics: String)]
    private let cursors: SearchCursor
    private let tenant: TenantID
    private let url: String

    /// - Throws: `SearchError` for a cursor that is not ours.
    init(
        _ plan: SearchPlan, cursors: SearchCursor, tenant: TenantID, baseURL: String
    ) throws(SearchError) {
        self.cursors = cursors
        self.tenant = tenant
        if let cursor = plan.cursor {
            position = try cursors.position(
                cursor, tenant: tenant, query: plan.path + "?" + plan.query, keys: plan.sort.count)
        } else {
            position = nil
        }
        url = baseURL + (plan.path.isEmpty ? "" : "/" + plan.path)
        links = [(relation: "self", url: Self.url(url, plan.query, cursor: plan.cursor))]
        warnings = plan.warnings.map { ("warning", $0.code.issueType, "Ignored: " + $0.diagnostics) }
    }

    /// Links to the page behind a row, whose sort values stand as text from `firstKey` on.
    mutating func addNext(_ plan: SearchPlan, after row: PostgresRow, firstKey: Int, rid: Int64) throws(PostgresError) {
        var keys: [String?] = []
        for index in plan.sort.indices { keys.append(try row.optionalString(firstKey + index)) }
        let cursor = cursors.text(
            SearchPosition(keys: keys, rid: rid), tenant: tenant, query: plan.path + "?" + plan.query)
        links.append((relation: "next", url: Self.url(url, plan.query, cursor: cursor)))
    }

    mutating func warnIncomplete() {
        warnings.append(
            (
                "warning", "too-costly",
                "More than \(SearchRules.maximumIncluded) resources would be included; the rest was left out."
            ))
    }

    func bundle(total: Int64?, baseURL: String, capacity: Int = 1024) -> SearchBundle {
        SearchBundle(baseURL: baseURL, total: total, links: links, capacity: capacity)
    }

    /// The answer that has a number only.
    func count(_ total: Int64, baseURL: String) -> [UInt8] {
        var bundle = bundle(total: total, baseURL: baseURL)
        bundle.addOutcome(warnings)
        return bundle.finish()
    }

    private static func url(_ base: String, _ query: String, cursor: String?) -> String {
        let parameters = [query, cursor.map { "_cursor=" + $0 } ?? ""].filter { !$0.isEmpty }
        return parameters.isEmpty ? base : base + "?" + parameters.joined(separator: "&")
    }
}
