import ClinicalData
import CloudHTTP
import CloudIdentity
import HTTPTypes
import NIOCore
import StrictJSON

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
        var answer = try conditions.apply(to: answer)
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

/// The conditions of a read.
struct ReadConditions: Sendable {
    private let match: EntityTagCondition?
    private let noneMatch: EntityTagCondition?
    /// Seconds since 1970.
    private let unmodifiedSince: Int64?
    private let modifiedSince: Int64?

    /// Of the headers of a request. Dates that are none are passed over (RFC 9110 §13.1.3, §13.1.4).
    init(_ headers: HTTPFields) throws(FHIRFailure) {
        match = try Self.match(headers[.ifMatch])
        noneMatch = headers[.ifNoneMatch].flatMap { EntityTagCondition(parsing: $0) }
        unmodifiedSince = headers[.ifUnmodifiedSince].flatMap { HTTPDate.parse($0) }
        modifiedSince = headers[.ifModifiedSince].flatMap { HTTPDate.parse($0) }
    }

    /// Of the bundle entry's `request` at `place`, where the time is an instant.
    init(_ request: JSONNode, at place: String) throws(FHIRFailure) {
        match = try Self.match(request["ifMatch"]?.string, at: place + ".ifMatch")
        noneMatch = request["ifNoneMatch"]?.string.flatMap { EntityTagCondition(parsing: $0) }
        unmodifiedSince = nil
        guard let text = request["ifModifiedSince"]?.string else {
            modifiedSince = nil
            return
        }
        guard let instant = FHIRInstant.parse(text) else {
            throw FHIRFailure(
                400, "value", "request.ifModifiedSince must be an instant.", at: place + ".ifModifiedSince")
        }
        modifiedSince = instant / 1_000_000
    }

    private static func match(_ text: String?, at place: String? = nil) throws(FHIRFailure) -> EntityTagCondition? {
        guard let text else { return nil }
        guard let condition = EntityTagCondition(parsing: text) else {
            throw FHIRFailure(400, "invalid", "If-Match must be * or name versions, as W/\"3\".", at: place)
        }
        return condition
    }

    /// 304 without a body when the client has this version already (RFC 9110 §13.2.2: tags before dates).
    ///
    /// - Throws: 412 when the client wants another version.
    func apply(to answer: Answer) throws(FHIRFailure) -> Answer {
        if let version = answer.version, !isWanted(version, answer.lastUpdated) { throw .precondition(version) }
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

    private func isWanted(_ version: Int32, _ lastUpdated: Int64?) -> Bool {
        if let match { return match.matches(version: version) }
        if let unmodifiedSince, let lastUpdated { return lastUpdated / 1_000_000 <= unmodifiedSince }
        return true
    }
}
