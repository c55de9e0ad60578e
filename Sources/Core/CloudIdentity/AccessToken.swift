package import CloudModel
import StrictJSON

/// The claims of an access token: a JWT by RFC 9068, signed ES384 with the key of the tenant (or of the region) that issues it.
package struct AccessToken: Sendable, Hashable {
    /// Access tokens live this many seconds (SMART: should not exceed 300).
    package static let lifetime: Int64 = 300

    package let principal: Principal
    /// Seconds since 1970.
    package let issuedAt: Int64

    /// A new token for a client: random `jti`, valid from `now` for ``lifetime`` seconds.
    package init(
        kind: Principal.Kind, clientID: String, tenant: TenantID?, institution: TenantID? = nil, scopes: ScopeSet,
        practitioner: String?, purposeOfUse: String?, now: Int64
    ) {
        principal = Principal(
            kind: kind, clientID: clientID, tenant: tenant, institution: institution, practitioner: practitioner,
            purposeOfUse: purposeOfUse, scopes: scopes, tokenID: RandomText.make(bytes: 16),
            expiresAt: now + Self.lifetime)
        issuedAt = now
    }

    /// The signed token.
    package func signed(with key: SigningKey, endpoints: IdentityEndpoints) throws(IdentityError) -> String {
        var claims = JSONWriter()
        claims.object {
            $0.member("iss", endpoints.issuer(principal.tenant))
            $0.member("sub", principal.clientID)
            $0.member("aud", endpoints.fhirBase(principal.tenant))
            $0.member("client_id", principal.clientID)
            $0.member("client_kind", principal.kind.rawValue)
            $0.member("institution", principal.institution?.rawValue)
            $0.member("scope", principal.scopes.text)
            $0.member("iat", issuedAt)
            $0.member("exp", principal.expiresAt)
            $0.member("jti", principal.tokenID)
            $0.member("subject_id", principal.practitioner)
            $0.member("purpose_of_use", principal.purposeOfUse)
        }
        return try key.sign(type: Self.type, claims: claims.bytes)
    }

    private static let type = "at+jwt"

    /// Which issuer the token says it comes from, and which key it names: all that is needed to find the key.
    static func origin(
        of token: CompactToken, endpoints: IdentityEndpoints
    ) throws(IdentityError) -> IdentityEndpoints.Realm {
        guard token.algorithm == .es384 else { throw IdentityError(.algorithm, "access tokens are ES384") }
        guard token.type == type else { throw IdentityError(.malformed, "typ must be \(type)") }
        guard let realm = endpoints.realm(issuer: try token.requiredText("iss")) else {
            throw IdentityError(.issuer, "not issued here")
        }
        return realm
    }

    /// Reads the claims of a token whose signature was verified with a key of `tenant`.
    init(
        verified token: CompactToken, tenant: TenantID?, endpoints: IdentityEndpoints, now: Int64
    ) throws(IdentityError) {
        guard token.isFor(endpoints.fhirBase(tenant)) else {
            throw IdentityError(.audience, "not for this region's resources")
        }
        guard let expiry = try token.optionalTime("exp"), let issuedAt = try token.optionalTime("iat") else {
            throw IdentityError(.claim, "exp and iat are required")
        }
        guard expiry > now else { throw IdentityError(.time, "the token has expired") }
        guard issuedAt <= now + ClientAssertion.leeway, expiry - issuedAt <= Self.lifetime else {
            throw IdentityError(.time, "the token's times are impossible")
        }
        guard let kind = Principal.Kind(rawValue: try token.requiredText("client_kind")) else {
            throw IdentityError(.claim, "client_kind is unknown")
        }
        guard kind != .operator || tenant == nil else {
            throw IdentityError(.claim, "a tenant has no operator")
        }
        let institution = try Self.institution(of: token, tenant: tenant)
        let clientID = try token.requiredText("client_id")
        guard try token.requiredText("sub") == clientID else { throw IdentityError(.claim, "sub is not the client") }
        principal = Principal(
            kind: kind, clientID: clientID, tenant: tenant, institution: institution,
            practitioner: token.claims["subject_id"]?.string, purposeOfUse: token.claims["purpose_of_use"]?.string,
            scopes: try ScopeSet(parsing: try token.requiredText("scope", limit: 4096)),
            tokenID: try token.requiredText("jti"), expiresAt: expiry)
        self.issuedAt = issuedAt
    }

    /// Only the region's tokens name an institution.
    private static func institution(of token: CompactToken, tenant: TenantID?) throws(IdentityError) -> TenantID? {
        guard let claim = token.claims["institution"] else { return nil }
        guard tenant == nil, let institution = claim.string.flatMap({ TenantID($0) }) else {
            throw IdentityError(.claim, "institution is not for this token")
        }
        return institution
    }
}
