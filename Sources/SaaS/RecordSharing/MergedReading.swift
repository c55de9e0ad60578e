import ClinicalData
import CloudHTTP
import CloudModel
import ModuleKit
import NIOCore
import PostgresDriver
import RegionalRecord
import StrictJSON

/// A search over the records of all holders that may be read: asked in parallel, put together in the order of their aliases,
/// page by page.
struct MergedReading: Sendable {
    let exchange: SharingExchange
    let outcome: SharingOutcome
    /// `Observation`, or `Patient/ID/$everything`: the part of the URL behind the base.
    let path: String
    /// What is searched; nil = every permitted type of the compartment.
    let type: ResourceType?
    /// Of a search over several types, the ones that are wanted; nil = all.
    let types: [ResourceType]?
    let parameters: [(name: String, value: String)]
    /// What the holders' logs say of it.
    let interaction: AuditInteraction

    private var reading: HolderReading { HolderReading(exchange: exchange) }

    /// One holder's page, ready for the bundle.
    private struct Page: Sendable {
        let entries: [(path: String, bytes: [UInt8], match: SearchMatches.Match)]
        /// The last match when there are more behind it.
        let more: SearchMatches.Match?
        let plan: SearchPlan
        /// Resources whose ids have no room for the alias.
        let unnameable: Int
    }

    /// - Parameters:
    ///   - count: resources on a page.
    ///   - head: what stands before the resources of the first page: `Type/id` and the resource.
    func page(count: Int, head: (path: String, resource: [UInt8])? = nil) async throws -> ModuleResponse {
        let start = try start()
        let decisions = outcome.permits.filter { $0.alias.text >= start.alias }.sorted { $0.alias.text < $1.alias.text }
        let pages = try await searching { reading in
            try await reading.all(decisions) { decision, connection in
                let cursor = decision.alias.text == start.alias ? start.cursor : nil
                return try await page(decision, count: count, cursor: cursor, on: connection)
            }
        }
        var bundle = SharedBundle(base: exchange.base, capacity: Self.size(pages))
        bundle.link("self", exchange.url(path, cursor: start.text))
        var added: Int64 = 0
        if start.text == nil, let head {
            bundle.add(head.path, resource: head.resource)
            added += 1
        }
        var room = count
        var next: String?
        var issues = notes
        for (decision, part) in zip(decisions, pages) {
            guard next == nil else { break }
            guard case .answer(let answer) = part else {
                issues.append(Self.missing(decision))
                continue
            }
            guard let page = answer else { continue }
            if room == 0 {
                // Of those that have no room for the alias, the next page says so.
                if !page.entries.isEmpty || page.unnameable > 0 { next = decision.alias.text }
                continue
            }
            for entry in page.entries.prefix(room) { bundle.add(entry.path, resource: entry.bytes) }
            let taken = min(room, page.entries.count)
            added += Int64(taken)
            room -= taken
            if page.unnameable > 0 { issues.append(Self.unnameable(page.unnameable)) }
            if let last = taken < page.entries.count ? page.entries[taken - 1].match : page.more {
                let cursor = exchange.services.search.cursor(after: last, of: page.plan, tenant: decision.holder)
                next = decision.alias.text + ":" + cursor
            }
        }
        if let next {
            bundle.link("next", exchange.url(path, cursor: next))
        } else if start.text == nil, issues.allSatisfy({ $0.severity == "information" }) {
            bundle.total = added
        }
        bundle.add(issues)
        return bundle.response()
    }

    /// Only how many there are; no number when a holder is missing.
    ///
    /// - Parameter heads: how many resources would stand before those of the holders.
    func count(heads: Int64 = 0) async throws -> ModuleResponse {
        let decisions = outcome.permits
        let counts = try await searching { reading in
            try await reading.all(decisions) { decision, connection in
                var count: Int64 = 0
                if let plan = try plan(parameters, for: decision) {
                    count = try await exchange.services.search.count(plan, on: connection)
                }
                try await reading.record(entry(decision), of: decision, on: connection)
                return count
            }
        }
        var bundle = SharedBundle(base: exchange.base)
        bundle.link("self", exchange.url(path))
        var total: Int64? = heads
        var issues = notes
        for (decision, part) in zip(decisions, counts) {
            if case .answer(let count) = part {
                total = total.map { $0 + count }
            } else {
                total = nil
                issues.append(Self.missing(decision))
            }
        }
        bundle.total = total
        bundle.add(issues)
        return bundle.response()
    }

    // MARK: Parts

    private func searching<R>(_ body: (HolderReading) async throws -> R) async throws -> R {
        do {
            return try await body(reading)
        } catch let error as SearchError {
            throw error.code == .cursor ? Problem.badCursor : Problem(error)
        }
    }

    private func page(
        _ decision: SharingDecision, count: Int, cursor: String?, on connection: PostgresConnection
    ) async throws -> Page? {
        let search = exchange.services.search
        var parameters = parameters + [("_count", String(count))]
        if let cursor { parameters.append(("_cursor", cursor)) }
        guard let plan = try plan(parameters, for: decision) else {
            try await reading.record(entry(decision), of: decision, on: connection)
            return nil
        }
        let found = try await search.page(plan, on: connection, tenant: decision.holder)
        try await reading.record(entry(decision), of: decision, on: connection)
        let rewriter = reading.rewriter(decision, patient: outcome.patient)
        var entries: [(path: String, bytes: [UInt8], match: SearchMatches.Match)] = []
        entries.reserveCapacity(found.matches.count)
        var unnameable = 0
        for match in found.matches {
            let id = SharedID(decision.alias, match.id)
            guard id.isWritable else {
                unnameable += 1
                continue
            }
            entries.append((match.type.name + "/" + id.text, try rewriter.rewritten(match.bytes), match))
        }
        return Page(
            entries: entries, more: found.hasMore ? found.matches.last : nil, plan: plan, unnameable: unnameable)
    }

    private func plan(
        _ parameters: [(name: String, value: String)], for decision: SharingDecision
    ) throws(SearchError) -> SearchPlan? {
        if let type { return try reading.plan(type, parameters, for: decision) }
        return try reading.plan(everything: types, parameters, for: decision)
    }

    private func entry(_ decision: SharingDecision) -> AuditEntry {
        AuditEntry(interaction, type: type, patient: decision.patientID, query: exchange.queryText)
    }

    /// Where the page begins: `ALIAS` or `ALIAS:CURSOR`.
    private func start() throws(Problem) -> (text: String?, alias: String, cursor: String?) {
        guard let text = try exchange.cursor(path) else { return (nil, "", nil) }
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        guard let alias = parts.first else { throw .badCursor }
        return (text, alias, parts.count > 1 ? parts[1] : nil)
    }

    private static func size(_ pages: [HolderReading.Part<Page?>]) -> Int {
        pages.reduce(4096) { sum, part in
            guard case .answer(let page?) = part else { return sum }
            return page.entries.reduce(sum) { $0 + $1.bytes.count + 256 }
        }
    }

    // MARK: What is not in the answer

    private var notes: [SharedBundle.Issue] {
        guard exchange.services.settings.tellsWithheld, outcome.withheld > 0 else { return [] }
        return [
            SharedBundle.Issue(
                severity: "information", code: "suppressed", problem: .consentRequired,
                diagnostics: "No consent permits the records of \(outcome.withheld) more institution(s).")
        ]
    }

    private static func missing(_ decision: SharingDecision) -> SharedBundle.Issue {
        SharedBundle.Issue(
            severity: "warning", code: "incomplete", problem: .holderUnavailable,
            diagnostics: "\(decision.holder) does not answer in time: what it holds is missing here. Ask again later.")
    }

    private static func unnameable(_ count: Int) -> SharedBundle.Issue {
        SharedBundle.Issue(
            severity: "warning", code: "incomplete", problem: nil,
            diagnostics: "\(count) resource(s) have ids of more than 55 characters and cannot be named here.")
    }
}
