package import CloudModel

/// Who asks: named by a verified token, never by the request itself.
package struct Principal: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable {
        /// The bureau's operator of the region.
        case `operator`
        case tenantAdministrator = "tenant-administrator"
        /// A hospital's system, by SMART Backend Services.
        case systemClient = "system"
        case practitioner
        case patient
    }

    package let kind: Kind
    package let clientID: String
    /// Nil is the region.
    package let tenant: TenantID?
    /// Of a client of the region: the tenant that it acts for in the view across institutions. Nil for everyone else.
    package let institution: TenantID?
    /// The practitioner on whose behalf a system client says to act (claim `subject_id`); audited, not verified by us.
    package let practitioner: String?
    /// Code of the HL7 v3 value set PurposeOfUse, such as `TREAT`; audited.
    package let purposeOfUse: String?
    package let scopes: ScopeSet
    /// `jti` of the access token.
    package let tokenID: String
    /// Seconds since 1970.
    package let expiresAt: Int64

    package init(
        kind: Kind, clientID: String, tenant: TenantID?, institution: TenantID? = nil, practitioner: String? = nil,
        purposeOfUse: String? = nil, scopes: ScopeSet, tokenID: String, expiresAt: Int64
    ) {
        self.kind = kind
        self.clientID = clientID
        self.tenant = tenant
        self.institution = institution
        self.practitioner = practitioner
        self.purposeOfUse = purposeOfUse
        self.scopes = scopes
        self.tokenID = tokenID
        self.expiresAt = expiresAt
    }
}

/// A token that was checked: who it speaks for and, when it is a tenant's, the right to open that tenant's database.
package struct VerifiedToken: Sendable, Hashable {
    package let principal: Principal
    /// Nil for the region's tokens: an operator reads no tenant's records.
    package let access: TenantAccess?

    package init(principal: Principal, access: TenantAccess?) {
        self.principal = principal
        self.access = access
    }
}
