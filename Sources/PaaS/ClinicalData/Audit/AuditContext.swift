import PostgresDriver

/// Who acts, from where and by what right, as audit rows say it. Never a token.
package struct AuditActor: Sendable, Hashable {
    package let client: String
    /// The practitioner that the client named in its signed assertion.
    package let practitioner: String?
    /// The purpose of use that the client named in its signed assertion.
    package let purpose: String?
    /// The client's network address.
    package let source: String
    /// Where the right to this tenant's database came from (`TenantAccess.Origin`).
    package let origin: String

    package init(client: String, practitioner: String?, purpose: String?, source: String, origin: String) {
        self.client = client
        self.practitioner = practitioner
        self.purpose = purpose
        self.source = source
        self.origin = origin
    }
}

/// Who acts in which request, as the audit rows of the request say it. Never content of a record.
package struct AuditContext: Sendable, Hashable {
    package let actor: AuditActor
    package let requestID: String

    package init(actor: AuditActor, requestID: String) {
        self.actor = actor
        self.requestID = requestID
    }

    package init(
        client: String, practitioner: String?, purpose: String?, requestID: String, source: String, origin: String
    ) {
        self.init(
            actor: AuditActor(
                client: client, practitioner: practitioner, purpose: purpose, source: source, origin: origin),
            requestID: requestID)
    }

    /// client, practitioner, purpose, request_id, source, origin.
    var values: [PostgresValue] {
        [
            .text(actor.client), actor.practitioner.map { .text($0) } ?? .null,
            actor.purpose.map { .text($0) } ?? .null,
            .text(requestID), .text(actor.source), .text(actor.origin),
        ]
    }
}

/// What was done, as `audit.event.interaction` counts it.
package enum AuditInteraction: Int16, Sendable, Hashable, CaseIterable {
    case read = 1
    case vread = 2
    case historyInstance = 3
    case historyType = 4
    case historySystem = 5
    case create = 6
    case update = 7
    case patch = 8
    case delete = 9
    case searchType = 10
    case searchSystem = 11
    case transaction = 12
    case batch = 13
    case operation = 14

    /// The code in http://hl7.org/fhir/restful-interaction.
    package var code: String {
        switch self {
        case .read: "read"
        case .vread: "vread"
        case .historyInstance: "history-instance"
        case .historyType: "history-type"
        case .historySystem: "history-system"
        case .create: "create"
        case .update: "update"
        case .patch: "patch"
        case .delete: "delete"
        case .searchType: "search-type"
        case .searchSystem: "search-system"
        case .transaction: "transaction"
        case .batch: "batch"
        case .operation: "operation"
        }
    }

    /// The code in http://hl7.org/fhir/audit-event-action.
    package var action: String {
        switch self {
        case .read, .vread, .historyInstance: "R"
        case .create: "C"
        case .update, .patch: "U"
        case .delete: "D"
        case .historyType, .historySystem, .searchType, .searchSystem, .transaction, .batch, .operation: "E"
        }
    }
}

/// How it ended, as in http://hl7.org/fhir/audit-event-outcome.
package enum AuditOutcome: Int16, Sendable, Hashable {
    case success = 0
    /// Refused or not found: nothing was disclosed or changed.
    case minorFailure = 4
    case seriousFailure = 8
    case majorFailure = 12
}
