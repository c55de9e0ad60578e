import ClinicalData
import CloudHTTP
import CloudIdentity
import CloudModel
import NIOCore

/// The histories of a resource, a type and everything.
struct HistoryInteraction: Sendable {
    let exchange: Exchange

    /// Versions on a page when the client names no number, and at most.
    static let defaultCount = 50
    static let maximumCount = 1000

    /// What the query of a history may hold.
    private struct Parameters {
        var count = HistoryInteraction.defaultCount
        var period = HistoryPeriod()
        /// The parameters of all pages, in the order of their names; what a cursor is bound to.
        var selection: [(name: String, text: String)] = []
        var cursor: String?

        init(_ query: HTTPQuery) throws(FHIRFailure) {
            for parameter in query.parameters where parameter.name != "_format" && parameter.name != "_pretty" {
                let (name, value) = (parameter.name, parameter.value)
                guard query.all(name).count == 1 else {
                    throw FHIRFailure(400, "invalid", "\(name) may be given once.", at: name)
                }
                // The plus sign of an offset arrives as a space where it was not encoded; no time has a space.
                let time = value.replacing(" ", with: "+")
                switch name {
                case "_count":
                    guard let number = Int(value), number >= 0 else {
                        throw FHIRFailure(400, "invalid", "_count must be a number from 0 on.", at: name)
                    }
                    count = min(number, HistoryInteraction.maximumCount)
                case "_since":
                    guard let instant = FHIRInstant.parse(time) else {
                        throw FHIRFailure(
                            400, "invalid", "_since must be an instant such as 2026-11-21T10:22:46.046Z.", at: name)
                    }
                    period.since = instant
                    selection.append((name, time))
                case "_at":
                    guard let range = DateRange(time) else {
                        throw FHIRFailure(
                            400, "invalid", "_at must be a date or time such as 2026-11-21 or 2026-11-21T10:22:46Z.",
                            at: name)
                    }
                    period.at = range
                    selection.append((name, time))
                case "_cursor":
                    cursor = value
                default:
                    throw FHIRFailure(
                        400, "not-supported", "A history has no parameter '\(name)'. Valid: _at, _count, _since.",
                        at: name)
                }
            }
            selection.sort { $0.name < $1.name }
        }

        var text: String { selection.map { $0.name + "=" + PercentCoding.encode($0.text) }.joined(separator: "&") }
    }

    func run(_ scope: HistoryScope, query: HTTPQuery, in session: Session) async throws -> Answer {
        let scope = try permitted(scope)
        let parameters = try Parameters(query)
        let path = Self.path(scope)
        let subject = exchange.tenant.rawValue + "\n" + path + "\n" + parameters.text
        let page = try await page(scope, parameters, subject, in: session)
        if case .instance(let type, let id) = scope, !page.exists { throw FHIRFailure.notFound(type, id) }

        var bundle = BundleWriter(type: "history", base: exchange.base)
        let selection = parameters.text
        let url =
            "\(exchange.base)/\(path)?_count=\(parameters.count)" + (selection.isEmpty ? "" : "&" + selection)
        bundle.link("self", url + (parameters.cursor.map { "&_cursor=" + PercentCoding.encode($0) } ?? ""))
        if let next = page.next {
            bundle.link("next", url + "&_cursor=" + exchange.services.historyCursors.text(next, subject: subject))
        }
        bundle.total = page.total
        for entry in page.entries { bundle.historyEntry(entry) }
        var answer = Answer(status: 200)
        answer.resource = ByteBuffer(bytes: bundle.finish())
        return answer
    }

    /// The page that the cursor leads to, or with `_count=0` the number of versions alone (FHIR R4 search.html#count).
    private func page(
        _ scope: HistoryScope, _ parameters: Parameters, _ subject: String, in session: Session
    ) async throws -> HistoryPage {
        let store = exchange.services.store
        guard parameters.count > 0 else {
            return try await store.historyCount(
                of: scope, in: parameters.period, audit: exchange.audit, on: session.runner)
        }
        let position = try parameters.cursor.map { cursor throws(FHIRFailure) in
            guard let known = exchange.services.historyCursors.position(cursor, subject: subject) else {
                throw FHIRFailure(
                    400, "invalid", "The cursor is not valid for this history. Start again from the first page.",
                    at: "_cursor")
            }
            return known
        }
        return try await store.history(
            of: scope, count: parameters.count, in: parameters.period, position: position, audit: exchange.audit,
            on: session.runner)
    }

    /// The scope cut down to what the token allows to read.
    private func permitted(_ scope: HistoryScope) throws(FHIRFailure) -> HistoryScope {
        switch scope {
        case .instance(let type, let id):
            try exchange.require(
                .read, on: type, for: AuditEntry(.historyInstance, outcome: .minorFailure, type: type, resourceID: id))
            return scope
        case .type(let type):
            try exchange.require(
                .read, on: type, for: AuditEntry(.historyType, outcome: .minorFailure, type: type))
            return scope
        case .system:
            let scopes = exchange.principal.scopes
            if scopes.allowsEveryType(.read) { return .system(types: nil) }
            let readable = exchange.services.definitions.types.filter { scopes.allows(.read, on: $0.name) }
            guard !readable.isEmpty else {
                throw exchange.denied(
                    .forbidden("read", "any type"), AuditEntry(.historySystem, outcome: .minorFailure))
            }
            return .system(types: readable)
        }
    }

    private static func path(_ scope: HistoryScope) -> String {
        switch scope {
        case .instance(let type, let id): type.name + "/" + id + "/_history"
        case .type(let type): type.name + "/_history"
        case .system: "_history"
        }
    }
}
