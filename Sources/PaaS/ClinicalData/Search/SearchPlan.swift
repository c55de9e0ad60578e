/// A search that was understood and checked; immutable, and independent of the tenant's data.
package struct SearchPlan: Sendable {
    enum Total: Sendable, Hashable {
        /// Given when the first page holds everything, because then it costs nothing.
        case whenKnown
        case none
        case counted
    }

    enum Summary: Sendable, Hashable {
        case full
        /// The elements that the definitions mark for summaries.
        case marked
        case text
        case data
        case count
    }

    struct SortKey: Sendable, Hashable {
        enum Source: Sendable, Hashable {
            case id
            case lastUpdated
            case index(IndexTable, [Int32])
        }

        let source: Source
        let descending: Bool
        /// Whether a resource has one value at most.
        var isSingle = false
    }

    /// References to follow from a page.
    struct Include: Sendable, Hashable {
        let parameters: [Int32]
        /// Types at the far end (`_include`) or at this end (`_revinclude`) of the reference.
        let targets: [Int16]
        let reverse: Bool
        /// Applied to included resources too.
        let iterates: Bool
        var canonical: CanonicalLink?
    }

    /// Elements that were asked for by name, or not wanted.
    struct Elements: Sendable, Hashable {
        var names: [String]
        var excludes: Bool
    }

    /// The types that are searched, never empty.
    package let types: [ResourceType]
    /// The part of the URL between base and query: `Patient`, ``, `Patient/1/Observation` or `Patient/1/*`.
    let path: String
    let filters: [SearchFilter]
    let sort: [SortKey]
    let count: Int
    let total: Total
    let includes: [Include]
    let summary: Summary
    let elements: Elements?
    let cursor: String?
    /// What was understood, in the caller's order and words, without `_cursor`.
    let used: [(name: String, value: String)]
    /// What was left out: under lenient handling, and includes of types that the caller may not search.
    package let warnings: [SearchError]
    /// See `SearchRequest.baseURL`.
    let baseURL: String

    /// The query of the self link, without `_cursor`; what a cursor is bound to.
    var query: String {
        used.map { SearchText.percentEncoded($0.name) + "=" + SearchText.percentEncoded($0.value) }
            .joined(separator: "&")
    }

    /// The conditions alone in an order of their own, so that equal criteria give equal text.
    package var canonicalCriteria: String {
        let conditions = used.filter { !SearchRules.resultParameters.contains($0.name) }
            .map { SearchText.percentEncoded($0.name) + "=" + SearchText.percentEncoded($0.value) }
            .sorted()
        return path + "?" + conditions.joined(separator: "&")
    }

    /// Whether a number is all that was asked for.
    var countsOnly: Bool { summary == .count || count == 0 }

    /// Whether the plan is over AuditEvent, which has a table of its own.
    var isAudit: Bool { types.count == 1 && types[0].isAuditEvent }

    /// Whether the plan has any condition; conditional interactions need one.
    package var hasCriteria: Bool { !filters.isEmpty }
}

extension ResourceType {
    /// AuditEvents lie in `audit.event`, so they are searched on their own: not in a search over several types, and not
    /// through a reference from or to another type.
    var isAuditEvent: Bool { name == "AuditEvent" }
}
