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
        /// Microseconds since 1970.
        var since: Int64?
        var sinceText: String?
        var cursor: String?

        init(_ query: HTTPQuery) throws(FHIRFailure) {
            for parameter in query.parameters {
                switch parameter.name {
                case "_count":
                    guard let value = Int(parameter.value), value > 0 else {
                        throw FHIRFailure(400, "invalid", "_count must be a positive number.", at: "_count")
                    }
                    count = min(value, HistoryInteraction.maximumCount)
                case "_since":
                    guard let value = FHIRInstant.parse(parameter.value) else {
                        throw FHIRFailure(
                            400, "invalid", "_since must be an instant such as 2026-11-21T10:22:46.046Z.", at: "_since")
                    }
                    since = value
                    sinceText = parameter.value
                case "_cursor":
                    cursor = parameter.value
                case "_format", "_pretty":
                    continue
                default:
                    throw FHIRFailure(
                        400, "not-supported",
                        "A history has no parameter '\(parameter.name)'. Valid: _count, _since.", at: parameter.name)
                }
            }
        }
    }

    func run(_ scope: HistoryScope, query: HTTPQuery, in session: Session) async throws -> Answer {
        let scope = try permitted(scope)
        let parameters = try Parameters(query)
        let path = Self.path(scope)
        let subject = exchange.tenant.rawValue + "\n" + path + "\n" + (parameters.sinceText ?? "")
        var position: Int64?
        if let cursor = parameters.cursor {
            guard let known = exchange.services.historyCursors.position(cursor, subject: subject) else {
                throw FHIRFailure(
                    400, "invalid", "The cursor is not valid for this history. Start again from the first page.",
                    at: "_cursor")
            }
            position = known
        }
        let page = try await exchange.services.store.history(
            of: scope, count: parameters.count, since: parameters.since, position: position, audit: exchange.audit,
            on: session.runner)
        if case .instance(let type, let id) = scope, !page.exists { throw FHIRFailure.notFound(type, id) }

        var bundle = BundleWriter(type: "history", base: exchange.base)
        let url = exchange.base + "/" + path
        var query = ["_count=\(parameters.count)"]
        if let since = parameters.sinceText { query.append("_since=" + PercentCoding.encode(since)) }
        let cursor = parameters.cursor.map { ["_cursor=" + PercentCoding.encode($0)] } ?? []
        bundle.link("self", url + "?" + (query + cursor).joined(separator: "&"))
        if let next = page.next {
            let cursor = exchange.services.historyCursors.text(next, subject: subject)
            bundle.link("next", url + "?" + (query + ["_cursor=" + cursor]).joined(separator: "&"))
        }
        bundle.total = page.total
        for entry in page.entries { bundle.historyEntry(entry) }
        var answer = Answer(status: 200)
        answer.resource = ByteBuffer(bytes: bundle.finish())
        return answer
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
