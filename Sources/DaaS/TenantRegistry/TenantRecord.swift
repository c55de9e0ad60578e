package import CloudModel

/// A tenant as the control database knows it.
package struct TenantRecord: Sendable, Hashable, Codable {
    package enum State: String, Sendable, Hashable, Codable {
        /// Asked for; the controller is making its database.
        case provisioning
        case ready
        /// The controller is removing it; the row goes last.
        case deleting
        /// The controller has given up; ``TenantRecord/error`` says why. It can be deleted.
        case failed
    }

    package enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        case bureau
        case hospital
        case clinic
        case pharmacy
        /// Owns applications; has no FHIR base.
        case partner
    }

    /// The tenant's name in URLs.
    package let id: String
    package let name: String
    /// IANA name, such as `Asia/Shanghai`.
    package let timeZone: String
    /// BCP 47 tag, such as `zh-CN`.
    package let language: String
    package let kind: Kind
    /// Words of the operator's own.
    package let labels: [String: String]
    package let state: State
    /// Opaque name of its database and of the role that may enter it.
    package let database: String
    /// The Postgres cluster that holds the database.
    package let cell: String
    package let error: String?
    /// RFC 3339, UTC.
    package let createdAt: String
    /// The operation that last made or removed it; nil for a tenant that is older than operations.
    package let operation: String?

    package init(
        id: String, name: String, timeZone: String, language: String, kind: Kind = .hospital,
        labels: [String: String] = [:], state: State, database: String, cell: String, error: String?,
        createdAt: String, operation: String? = nil
    ) {
        self.id = id
        self.name = name
        self.timeZone = timeZone
        self.language = language
        self.kind = kind
        self.labels = labels
        self.operation = operation
        self.state = state
        self.database = database
        self.cell = cell
        self.error = error
        self.createdAt = createdAt
    }
}

/// What an operator says about a tenant to be made.
package struct NewTenant: Sendable, Hashable, Codable {
    package let id: String
    package let name: String
    package let timeZone: String
    package let language: String
    package let kind: TenantRecord.Kind
    package let labels: [String: String]

    package init(
        id: String, name: String, timeZone: String, language: String, kind: TenantRecord.Kind = .hospital,
        labels: [String: String] = [:]
    ) {
        self.id = id
        self.name = name
        self.timeZone = timeZone
        self.language = language
        self.kind = kind
        self.labels = labels
    }
}

/// Something every worker must forget, in the order it was decided.
package struct Invalidation: Sendable, Hashable {
    package enum Subject: Sendable, Hashable {
        /// One access token, by its `jti`.
        case token(String)
        /// All tokens of a client.
        case client(String)
        /// All tokens and connections of a tenant.
        case tenant
    }

    /// Position in the feed.
    package let seq: Int64
    package let subject: Subject
    /// Nil is the region.
    package let tenant: TenantID?
    /// Seconds since 1970. Tokens issued at or before it are concerned.
    package let at: Int64
    /// Seconds since 1970 after which it concerns nothing any more.
    package let expiresAt: Int64

    package init(seq: Int64, subject: Subject, tenant: TenantID?, at: Int64, expiresAt: Int64) {
        self.seq = seq
        self.subject = subject
        self.tenant = tenant
        self.at = at
        self.expiresAt = expiresAt
    }
}
