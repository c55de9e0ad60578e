package import PostgresDriver

/// What can go wrong with the control database and with opening a tenant's database.
package struct TenantRegistryError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Base: String {
            case unknownTenant = "unknown-tenant"
            case conflict
            case cellFull = "cell-full"
            case invalidValue = "invalid-value"
            case notReady = "tenant-not-ready"
            case denied
            case unavailable = "control-unavailable"
            case badKey = "bad-region-key"
            case failed
        }
        private let base: Base
        private init(_ base: Base) { self.base = base }

        /// No such tenant, or no such thing inside it.
        package static let unknownTenant = Code(.unknownTenant)
        /// It exists already.
        package static let conflict = Code(.conflict)
        /// The cell of the tenant's database has room for no more.
        package static let cellFull = Code(.cellFull)
        /// A value breaks its rule; ``TenantRegistryError/message`` says which.
        package static let invalidValue = Code(.invalidValue)
        /// The tenant is being made or removed.
        package static let notReady = Code(.notReady)
        /// The acting tenant may not do this.
        package static let denied = Code(.denied)
        /// The control database did not answer. Try again.
        package static let unavailable = Code(.unavailable)
        /// The region key is missing, has the wrong length or does not open what was sealed with it.
        package static let badKey = Code(.badKey)
        /// Anything else; the cause says what.
        package static let failed = Code(.failed)

        package var description: String { base.rawValue }
    }

    package let code: Code
    /// One sentence for a person. Never SQL, never a secret.
    package let message: String
    /// The member of the request that is wrong, when it is one.
    package let field: String?
    /// What the database said, for the log.
    package let cause: PostgresError?

    package init(_ code: Code, _ message: String, field: String? = nil, cause: PostgresError? = nil) {
        self.code = code
        self.message = message
        self.field = field
        self.cause = cause
    }

    /// A member of a request that breaks `rule`: `("name", "is missing")`.
    package static func invalid(_ field: String, _ rule: String) -> TenantRegistryError {
        TenantRegistryError(.invalidValue, "\(field) \(rule)", field: field)
    }

    /// The meaning of a failed call of a control function; the SQLSTATEs `MC…` are raised by our own functions.
    package init(_ error: PostgresError) {
        let message = error.serverMessage
        switch error.sqlState {
        case "MC403", "42501": self.init(.denied, message, cause: error)
        case "MC404", "23503": self.init(.unknownTenant, "no such tenant or client", cause: error)
        case "MC409", "23505": self.init(.conflict, message, cause: error)
        case "MCCEL": self.init(.cellFull, message, cause: error)
        case "MC422":
            self.init(
                .invalidValue, message, field: message == Self.unknownTimeZone ? "timeZone" : nil, cause: error)
        case "23514":
            let rule = error.constraint.flatMap { Self.rules[$0] }
            self.init(
                .invalidValue, rule.map { "\($0.field) \($0.rule)" } ?? Self.describe(constraint: error.constraint),
                field: rule?.field, cause: error)
        case nil, "57P01", "57P02", "57P03", "53300", "57014":
            self.init(.unavailable, "the control database does not answer", cause: error)
        default: self.init(.failed, "the control database refused", cause: error)
        }
    }

    /// What `control.create_tenant` and its like say of a time zone that Postgres does not have.
    private static let unknownTimeZone = "unknown time zone"

    /// The constraints that people run into, in words.
    private static let rules: [String: (field: String, rule: String)] = [
        "tenant_id_check": (
            "id", "must be a lower-case letter, then up to 30 letters, digits or hyphens; not \"region\""
        ),
        "tenant_name_check": ("name", "must have 1 to 200 characters"),
        "tenant_language_check": ("language", "must be a BCP 47 tag such as en, de or zh-Hans"),
        "client_id_check": (
            "id", "must be 1 to 64 letters, digits, full stops, hyphens or underscores, the first a letter or digit"
        ),
        "client_name_check": ("name", "must have 1 to 200 characters"),
        "client_scopes_check": ("scope", "must have 1 to 4096 characters"),
        "client_origins_check": ("origins", "must be at most 16"),
    ]

    /// What to say about a value that a check constraint refused: `tenant_name_check` names the column.
    private static func describe(constraint: String?) -> String {
        let words = (constraint ?? "").split(separator: "_").dropFirst()
        let column = words.filter { $0 != "check" }.joined(separator: " ")
        return column.isEmpty ? "a value breaks its rule" : "\(column) breaks its rule"
    }

    package var description: String {
        "\(code): \(message)" + (cause.map { " (\($0.sqlState ?? "\($0.code)"))" } ?? "")
    }
}
