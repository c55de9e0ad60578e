import ClinicalData
import CloudHTTP
import CloudIdentity
import HTTPTypes
import NIOCore

/// read and vread, conditional ones included.
struct ReadInteraction: Sendable {
    let exchange: Exchange

    /// What a read asks for besides the resource.
    struct Request: Sendable {
        var conditions: ReadConditions
        var query: HTTPQuery
        /// Whether parameters that a read does not have are passed over (`Prefer: handling=lenient`).
        var isLenient = false
    }

    /// The current version, or as much of it as `request` wants.
    ///
    /// - Throws: 404 when it never existed, 410 when it is deleted.
    func read(_ type: ResourceType, id: String, _ request: Request, in session: Session) async throws -> Answer {
        try exchange.require(
            .read, on: type, for: AuditEntry(.read, outcome: .minorFailure, type: type, resourceID: id))
        let subset = try subset(of: type, request)
        let answer: Answer
        if type.isAuditEvent {
            answer = try await readAuditEvent(id, in: session)
        } else {
            let found = try await exchange.services.store.read(type, id: id, audit: exchange.audit, on: session.runner)
            answer = try Self.answer(found, type, id)
        }
        return try Self.shaped(answer, request.conditions, subset)
    }

    /// One version.
    func readVersion(
        _ type: ResourceType, id: String, version text: String, _ request: Request, in session: Session
    ) async throws -> Answer {
        try exchange.require(
            .read, on: type, for: AuditEntry(.vread, outcome: .minorFailure, type: type, resourceID: id))
        let subset = try subset(of: type, request)
        let failure = FHIRFailure(404, "not-found", "\(type.name)/\(id) has no version '\(text)'.")
        guard let version = Int32(text), version > 0, String(version) == text else { throw failure }
        let found = try await exchange.services.store.read(
            type, id: id, version: version, audit: exchange.audit, on: session.runner)
        guard let found else { throw failure }
        return try Self.shaped(try Self.answer(found, type, id), request.conditions, subset)
    }

    /// The `_summary` and `_elements` of a read; nil when the resource is wanted whole.
    private func subset(of type: ResourceType, _ request: Request) throws(FHIRFailure) -> ResourceSubset? {
        var parameters: [(name: String, value: String)] = []
        for parameter in request.query.parameters {
            switch parameter.name {
            case "_format", "_pretty": continue
            case "_summary", "_elements": parameters.append((parameter.name, parameter.value))
            default:
                guard !request.isLenient else { continue }
                throw FHIRFailure(
                    400, "not-supported",
                    "A read has no parameter '\(parameter.name)'. Valid: _elements, _format, _pretty, _summary.",
                    at: parameter.name)
            }
        }
        guard !parameters.isEmpty else { return nil }
        do {
            return try ResourceSubset(of: type, parameters, in: exchange.services.definitions)
        } catch {
            throw FHIRFailure(error)
        }
    }

    private static func shaped(
        _ answer: Answer, _ conditions: ReadConditions, _ subset: ResourceSubset?
    ) throws -> Answer {
        var answer = conditions.apply(to: answer)
        if let subset, let resource = answer.resource, let version = answer.version, let time = answer.lastUpdated {
            answer.resource = try subset.part(of: resource, version: version, lastUpdated: time)
        }
        return answer
    }

    static func answer(_ found: StoredResource?, _ type: ResourceType, _ id: String) throws(FHIRFailure) -> Answer {
        guard let found else { throw .notFound(type, id) }
        guard !found.isDeleted else { throw .deleted(found) }
        return Answer(found)
    }

    private func readAuditEvent(_ id: String, in session: Session) async throws -> Answer {
        let row = try await exchange.services.auditLog.event(id: id, on: session.runner)
        let type = ResourceType.named("AuditEvent")
        try await exchange.services.auditLog.record(
            [AuditEntry(.read, outcome: row == nil ? .minorFailure : .success, type: type, resourceID: id)],
            exchange.audit, on: session.runner)
        guard let row else { throw FHIRFailure(404, "not-found", "There is no AuditEvent/\(id).") }
        var answer = Answer(status: 200)
        answer.version = 1
        answer.lastUpdated = row.recorded
        answer.resource = ByteBuffer(bytes: AuditEventRenderer(baseURL: exchange.base).render(row))
        return answer
    }
}

/// If-None-Match and If-Modified-Since of a read.
struct ReadConditions: Sendable {
    var noneMatch: EntityTagCondition?
    /// Seconds since 1970.
    var modifiedSince: Int64?

    /// Of the headers of a request.
    init(noneMatch: String?, modifiedSince: String?) {
        self.noneMatch = noneMatch.flatMap { EntityTagCondition(parsing: $0) }
        self.modifiedSince = modifiedSince.flatMap { HTTPDate.parse($0) }
    }

    /// Of `request` in a bundle entry, where the time is an instant.
    init(noneMatch: String?, modifiedSinceInstant text: String?) throws(FHIRFailure) {
        self.noneMatch = noneMatch.flatMap { EntityTagCondition(parsing: $0) }
        guard let text else { return }
        guard let instant = FHIRInstant.parse(text) else {
            throw FHIRFailure(400, "value", "request.ifModifiedSince must be an instant.")
        }
        modifiedSince = instant / 1_000_000
    }

    /// 304 without a body when the client has this version already (RFC 9110 §13.2.2: tags before dates).
    func apply(to answer: Answer) -> Answer {
        let isKnown: Bool
        if let noneMatch {
            isKnown = noneMatch.matches(version: answer.version)
        } else if let modifiedSince, let lastUpdated = answer.lastUpdated {
            isKnown = lastUpdated / 1_000_000 <= modifiedSince
        } else {
            isKnown = false
        }
        guard isKnown else { return answer }
        var known = answer
        known.status = 304
        known.resource = nil
        return known
    }
}
