package import CloudModel

/// The addresses of a region's authorization servers and resources (design: URL map). All begin with the region's base URL.
package struct IdentityEndpoints: Sendable, Hashable {
    /// Scheme, host and port as clients write them; no trailing slash.
    package let baseURL: String

    package init(baseURL: String) {
        self.baseURL = baseURL.hasSuffix("/") ? String(baseURL.dropLast()) : baseURL
    }

    private func root(_ tenant: TenantID?) -> String {
        if let tenant { return "\(baseURL)/t/\(tenant)" }
        return "\(baseURL)/region"
    }

    /// `iss` of access tokens.
    package func issuer(_ tenant: TenantID?) -> String { root(tenant) + "/oauth2" }
    /// The FHIR base, which is the `aud` of access tokens.
    package func fhirBase(_ tenant: TenantID?) -> String { root(tenant) + "/fhir" }
    /// Where tokens are asked for, which is the `aud` of client assertions.
    package func token(_ tenant: TenantID?) -> String { root(tenant) + "/oauth2/token" }
    package func introspection(_ tenant: TenantID?) -> String { root(tenant) + "/oauth2/introspect" }
    package func revocation(_ tenant: TenantID?) -> String { root(tenant) + "/oauth2/revoke" }
    package func keySet(_ tenant: TenantID?) -> String { root(tenant) + "/oauth2/jwks" }

    /// What an issuer names; `.none` when it is not one of this region's.
    package func realm(issuer: String) -> Realm? {
        if issuer == self.issuer(nil) { return .region }
        let prefix = "\(baseURL)/t/"
        let suffix = "/oauth2"
        guard issuer.hasPrefix(prefix), issuer.hasSuffix(suffix),
            issuer.utf8.count > prefix.utf8.count + suffix.utf8.count
        else { return nil }
        return TenantID(String(issuer.dropFirst(prefix.count).dropLast(suffix.count))).map { .tenant($0) }
    }

    /// The region or one tenant.
    package enum Realm: Sendable, Hashable {
        case region
        case tenant(TenantID)

        /// Nil is the region.
        package var tenant: TenantID? {
            switch self {
            case .region: nil
            case .tenant(let tenant): tenant
            }
        }
    }
}
