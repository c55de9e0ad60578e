import ClinicalData
import CloudHTTP
import CloudIdentity
import HTTPTypes
import NIOCore

/// read and vread, conditional ones included.
struct ReadInteraction: Sendable {
    let exchange: Exchange

    /// The current version.
    ///
    /// - Throws: 404 when it never existed, 410 when it is deleted.
    func read(_ type: ResourceType, id: String, in session: Session) async throws -> Answer {
        try exchange.require(
            .read, on: type, for: AuditEntry(.read, outcome: .minorFailure, type: type, resourceID: id))
        if type.isAuditEvent { return try await readAuditEvent(id, in: session) }
        let found = try await exchange.services.store.read(type, id: id, audit: exchange.audit, on: session.runner)
        return try Self.answer(found, type, id)
    }

    /// One version.
    func readVersion(
        _ type: ResourceType, id: String, version text: String, in session: Session
    ) async throws -> Answer {
        try exchange.require(
            .read, on: type, for: AuditEntry(.vread, outcome: .minorFailure, type: type, resourceID: id))
        let failure = FHIRFailure(404, "not-found", "\(type.name)/\(id) has no version '\(text)'.")
        guard let version = Int32(text), version > 0, String(version) == text else { throw failure }
        let found = try await exchange.services.store.read(
            type, id: id, version: version, audit: exchange.audit, on: session.runner)
        guard let found else { throw failure }
        return try Self.answer(found, type, id)
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

    init(noneMatch: String?, modifiedSince: String?) {
        self.noneMatch = noneMatch.flatMap { EntityTagCondition(parsing: $0) }
        self.modifiedSince = modifiedSince.flatMap { HTTPDate.parse($0) }
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
