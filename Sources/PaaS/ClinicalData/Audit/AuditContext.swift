import PostgresDriver

/// Who acts, as the audit rows of a request say it. Never a token, never content of a record.
package struct AuditContext: Sendable, Hashable {
    package let client: String
    /// The practitioner that the client named in its signed assertion.
    package let practitioner: String?
    /// The purpose of use that the client named in its signed assertion.
    package let purpose: String?
    package let requestID: String
    /// The client's network address.
    package let source: String
    /// Where the right to this tenant's database came from (`TenantAccess.Origin`).
    package let origin: String

    package init(
        client: String, practitioner: String?, purpose: String?, requestID: String, source: String, origin: String
    ) {
        self.client = client
        self.practitioner = practitioner
        self.purpose = purpose
        self.requestID = requestID
        self.source = source
        self.origin = origin
    }

    /// client, practitioner, purpose, request_id, source, origin.
    var values: [PostgresValue] {
        [
            .text(client), practitioner.map { .text($0) } ?? .null, purpose.map { .text($0) } ?? .null,
            .text(requestID), .text(source), .text(origin),
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
