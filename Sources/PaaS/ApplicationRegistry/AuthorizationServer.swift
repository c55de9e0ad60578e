package import CloudIdentity
package import CloudModel
package import Logging
import StrictJSON
import TenantRegistry

/// The authorization servers of the region: one for each tenant and one for the region itself (nil), told apart by the tenant
/// that the route names. SMART Backend Services: `client_credentials` with `private_key_jwt`, nothing else.
///
/// Each function answers completely, errors included; the gateway only carries.
package final class AuthorizationServer: Sendable {
    private let database: ApplicationDatabase
    private let keyRing: KeyRing
    private let verifier: TokenVerifier
    private let clock: IdentityClock
    private let logger: Logger
    package let endpoints: IdentityEndpoints

    package init(
        database: ApplicationDatabase, keyRing: KeyRing, verifier: TokenVerifier, endpoints: IdentityEndpoints,
        clock: IdentityClock = .system, logger: Logger
    ) {
        self.database = database
        self.keyRing = keyRing
        self.verifier = verifier
        self.endpoints = endpoints
        self.clock = clock
        self.logger = logger
    }

    // MARK: Token

    /// `POST …/oauth2/token`
    package func token(_ request: OAuthRequest, of tenant: TenantID?) async -> OAuthResponse {
        await answer("token", tenant) { () throws(OAuthError) in
            let form = try OAuthForm(request.body, contentType: request.contentType)
            let grant = try form.required("grant_type")
            guard grant == "client_credentials" else {
                throw OAuthError(.unsupportedGrantType, "grant_type must be client_credentials")
            }
            // The time before the assertion is used up, so that a later decision against the client is later than it.
            let now = clock.now()
            let (client, assertion) = try await authenticate(form, request, tenant, now: now)
            let scopes = try requestedScopes(form["scope"], of: client)
            try await use(assertion, tenant)
            let token = AccessToken(
                kind: client.kind, clientID: client.id, tenant: tenant, institution: client.institution, scopes: scopes,
                practitioner: assertion.practitioner, purposeOfUse: assertion.purposeOfUse, now: now)
            let signed: String
            let key = try await signingKey(tenant)
            do throws(IdentityError) {
                signed = try token.signed(with: key, endpoints: endpoints)
            } catch {
                throw OAuthError(.temporarilyUnavailable, "try again later")
            }
            return .json {
                $0.member("access_token", signed)
                $0.member("token_type", "bearer")
                $0.member("expires_in", AccessToken.lifetime)
                $0.member("scope", scopes.text)
            }
        }
    }

    /// What is asked for, all of which must be registered; without a word, everything that is registered (RFC 6749 §3.3).
    private func requestedScopes(_ text: String?, of client: ClientRecord) throws(OAuthError) -> ScopeSet {
        guard let text else { return client.scopes }
        let scopes: ScopeSet
        do throws(IdentityError) {
            scopes = try ScopeSet.asked(text)
        } catch {
            throw OAuthError(.invalidScope, error.reason.filter { $0 != "\"" })
        }
        guard client.scopes.covers(scopes) else {
            throw OAuthError(.invalidScope, "more is asked for than the client is registered for")
        }
        return scopes
    }

    private func signingKey(_ tenant: TenantID?) async throws(OAuthError) -> SigningKey {
        do throws(TenantRegistryError) {
            return try await keyRing.signingKey(of: tenant)
        } catch {
            throw OAuthError(error)
        }
    }

    // MARK: Introspection and revocation

    /// `POST …/oauth2/introspect` (RFC 7662). The caller is a client of the same server.
    package func introspect(_ request: OAuthRequest, of tenant: TenantID?) async -> OAuthResponse {
        await answer("introspect", tenant) { () throws(OAuthError) in
            let form = try OAuthForm(request.body, contentType: request.contentType)
            let text = try form.required("token")
            let (_, assertion) = try await authenticate(form, request, tenant, now: clock.now())
            try await use(assertion, tenant)
            guard let token = try await inspect(text), token.principal.tenant == tenant else {
                return .json { $0.member("active", false) }
            }
            let principal = token.principal
            return .json {
                $0.member("active", true)
                $0.member("scope", principal.scopes.text)
                $0.member("client_id", principal.clientID)
                $0.member("token_type", "bearer")
                $0.member("exp", principal.expiresAt)
                $0.member("iat", token.issuedAt)
                $0.member("sub", principal.clientID)
                $0.member("aud", endpoints.fhirBase(tenant))
                $0.member("iss", endpoints.issuer(tenant))
                $0.member("jti", principal.tokenID)
                $0.member("institution", principal.institution?.rawValue)
                $0.member("subject_id", principal.practitioner)
                $0.member("purpose_of_use", principal.purposeOfUse)
            }
        }
    }

    /// `POST …/oauth2/revoke` (RFC 7009). A client revokes its own tokens; one that is not good any more is revoked already.
    package func revoke(_ request: OAuthRequest, of tenant: TenantID?) async -> OAuthResponse {
        await answer("revoke", tenant) { () throws(OAuthError) in
            let form = try OAuthForm(request.body, contentType: request.contentType)
            let text = try form.required("token")
            let (client, assertion) = try await authenticate(form, request, tenant, now: clock.now())
            try await use(assertion, tenant)
            guard let token = try await inspect(text) else { return .json { _ in } }
            guard token.principal.tenant == tenant, token.principal.clientID == client.id else {
                throw OAuthError(.unauthorizedClient, "the token was not issued to this client")
            }
            do throws(TenantRegistryError) {
                try await database.revoke(token.principal, acting: tenant, actor: client.id)
            } catch {
                throw OAuthError(error)
            }
            verifier.apply([
                Revocation(
                    subject: .token(token.principal.tokenID), tenant: tenant, at: clock.now(),
                    expiresAt: token.principal.expiresAt)
            ])
            return .json { _ in }
        }
    }

    /// The token, or nil when it is not good.
    private func inspect(_ text: String) async throws(OAuthError) -> AccessToken? {
        do throws(IdentityError) {
            return try await verifier.inspect(text)
        } catch  where error.code == .unavailable {
            throw OAuthError(.temporarilyUnavailable, "try again later")
        } catch {
            return nil
        }
    }

    // MARK: Who asks

    private func authenticate(
        _ form: OAuthForm, _ request: OAuthRequest, _ tenant: TenantID?, now: Int64
    ) async throws(OAuthError) -> (ClientRecord, ClientAssertion) {
        guard !request.hasAuthorization, form["client_secret"] == nil else {
            throw OAuthError(.invalidClient, "clients authenticate with private_key_jwt only")
        }
        guard form["client_assertion_type"] == ClientAssertion.formType, let text = form["client_assertion"] else {
            throw OAuthError(.invalidClient, "client_assertion of type jwt-bearer is missing")
        }
        let assertion: ClientAssertion
        do throws(IdentityError) {
            assertion = try ClientAssertion(text, audience: endpoints.token(tenant), now: now)
        } catch {
            logger.info(
                "client assertion refused",
                metadata: ["realm": "\(ControlDatabase.realm(tenant))", "reason": "\(error)"])
            throw OAuthError(.invalidClient, error.reason.filter { $0 != "\"" })
        }
        if let named = form["client_id"], named != assertion.clientID {
            throw OAuthError(.invalidClient, "client_id is not the one of the assertion")
        }
        let client: ClientRecord?
        do throws(TenantRegistryError) {
            client = try await database.client(assertion.clientID, of: tenant)
        } catch {
            throw OAuthError(error)
        }
        // One answer for all, so that nobody learns which clients there are.
        let refusal = OAuthError(.invalidClient, "client authentication failed")
        guard let client, !client.isDisabled else { throw refusal }
        do throws(IdentityError) {
            try assertion.verify(keys: client.keys, keySetURL: client.keySetURL)
        } catch {
            logger.info(
                "client assertion refused",
                metadata: [
                    "realm": "\(ControlDatabase.realm(tenant))", "client.id": "\(client.id)", "reason": "\(error)",
                ])
            throw refusal
        }
        if let institution = client.institution, let named = assertion.organization.flatMap(organization),
            named != institution.rawValue
        {
            throw OAuthError(.invalidClient, "organization_id is not the institution that the client acts for")
        }
        return (client, assertion)
    }

    /// The tenant that an `organization_id` names, if it is of this region; of other registries nothing is known here.
    private func organization(_ text: String) -> String? {
        let base = endpoints.baseURL + "/"
        guard text.hasPrefix(base) || text.hasPrefix("Organization/") else { return nil }
        let parts = (text.hasPrefix(base) ? text.dropFirst(base.count) : text[...]).split(separator: "/")
        if parts.count > 1, parts[0] == "t" { return String(parts[1]) }
        return parts.suffix(2).first == "Organization" ? parts.last.map(String.init) : nil
    }

    private func use(_ assertion: ClientAssertion, _ tenant: TenantID?) async throws(OAuthError) {
        let outcome: ApplicationDatabase.AssertionOutcome
        do throws(TenantRegistryError) {
            outcome = try await database.use(assertion, in: tenant)
        } catch {
            throw OAuthError(error)
        }
        switch outcome {
        case .accepted: return
        case .replayed:
            logger.notice(
                "client assertion replayed",
                metadata: ["realm": "\(ControlDatabase.realm(tenant))", "client.id": "\(assertion.clientID)"])
            throw OAuthError(.invalidClient, "the assertion was used before")
        case .disabled, .unknown: throw OAuthError(.invalidClient, "client authentication failed")
        }
    }

    private func answer(
        _ operation: String, _ tenant: TenantID?,
        _ body: () async throws(OAuthError) -> OAuthResponse
    ) async -> OAuthResponse {
        do throws(OAuthError) {
            return try await body()
        } catch {
            logger.debug(
                "authorization server refused",
                metadata: [
                    "operation": "\(operation)", "realm": "\(ControlDatabase.realm(tenant))",
                    "error": "\(error.code.rawValue)",
                ])
            return error.response
        }
    }

    // MARK: Discovery

    /// `GET …/oauth2/jwks`; 404 for a tenant that does not serve.
    package func keySet(of tenant: TenantID?) async -> OAuthResponse {
        await answer("jwks", tenant) { () throws(OAuthError) in
            let keys = try await publicKeys(tenant)
            return .document {
                $0.arrayMember("keys") { list in
                    for key in keys { list.raw(key.json.utf8) }
                }
            }
        }
    }

    /// `GET …/fhir/.well-known/smart-configuration`; 404 for a tenant that does not serve.
    package func smartConfiguration(of tenant: TenantID?) async -> OAuthResponse {
        await answer("smart-configuration", tenant) { () throws(OAuthError) in
            _ = try await publicKeys(tenant)
            return .document { document in
                document.member("issuer", endpoints.issuer(tenant))
                document.member("jwks_uri", endpoints.keySet(tenant))
                document.member("token_endpoint", endpoints.token(tenant))
                document.member("introspection_endpoint", endpoints.introspection(tenant))
                document.member("revocation_endpoint", endpoints.revocation(tenant))
                let lists: [(String, [String])] = [
                    ("grant_types_supported", ["client_credentials"]),
                    ("token_endpoint_auth_methods_supported", ["private_key_jwt"]),
                    ("token_endpoint_auth_signing_alg_values_supported", ["RS384", "ES384"]),
                    ("introspection_endpoint_auth_methods_supported", ["private_key_jwt"]),
                    ("introspection_endpoint_auth_signing_alg_values_supported", ["RS384", "ES384"]),
                    ("revocation_endpoint_auth_methods_supported", ["private_key_jwt"]),
                    ("revocation_endpoint_auth_signing_alg_values_supported", ["RS384", "ES384"]),
                    (
                        "scopes_supported",
                        ["system/*.cruds", "system/*.rs", "system/*.read", "system/*.write", "system/*.*"]
                    ),
                    ("response_types_supported", []),
                    ("code_challenge_methods_supported", ["S256"]),
                    ("capabilities", ["client-confidential-asymmetric", "permission-v1", "permission-v2"]),
                ]
                for (name, values) in lists {
                    document.arrayMember(name) { list in
                        for value in values { list.string(value) }
                    }
                }
            }
        }
    }

    private func publicKeys(_ tenant: TenantID?) async throws(OAuthError) -> [JSONWebKey] {
        do throws(TenantRegistryError) {
            return try await keyRing.publicKeys(of: tenant)
        } catch {
            throw OAuthError(error)
        }
    }
}
