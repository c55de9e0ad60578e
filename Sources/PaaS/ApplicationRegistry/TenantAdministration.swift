package import CloudIdentity
package import CloudModel
package import Coordination
package import TenantRegistry

/// What `/v1` does with tenants and clients. The operator may do everything; a tenant's administrator may see its tenant and
/// manage its clients; everyone else is denied.
package struct TenantAdministration: Sendable {
    private var control: ControlDatabase
    private var database: ApplicationDatabase
    private let verifier: TokenVerifier
    package let endpoints: IdentityEndpoints

    package init(
        control: ControlDatabase, database: ApplicationDatabase, verifier: TokenVerifier, endpoints: IdentityEndpoints
    ) {
        self.control = control
        self.database = database
        self.verifier = verifier
        self.endpoints = endpoints
    }

    /// The same, where what is begun or made is noted with the request that asked for it.
    package func asked(by request: RequestKey) -> TenantAdministration {
        var asked = self
        asked.control = control.asked(by: request)
        asked.database = database.asked(by: request)
        return asked
    }

    // MARK: Tenants

    /// Every tenant for the operator, by id; its own for an administrator.
    package func tenants(
        _ page: PageRequest, as principal: Principal
    ) async throws(TenantRegistryError) -> Page<TenantRecord> {
        try await control.tenants(page, acting: try acting(principal))
    }

    /// - Throws: `unknown-tenant`, also for a tenant that is not the caller's.
    package func tenant(_ id: TenantID, as principal: Principal) async throws(TenantRegistryError) -> TenantRecord {
        _ = try acting(principal, on: id)
        guard let tenant = try await control.tenant(id) else {
            throw TenantRegistryError(.unknownTenant, "no such tenant")
        }
        return tenant
    }

    /// Asks for a tenant and answers with the operation's id. ``settled(_:within:)`` waits for the controller.
    package func createTenant(_ new: NewTenant, as principal: Principal) async throws(TenantRegistryError) -> String {
        try requireOperator(principal)
        return try await control.createTenant(new, actor: principal.clientID)
    }

    /// Asks for a tenant's removal with all its data and answers with the operation's id. ``settled(_:within:)`` then gives
    /// nil.
    @discardableResult
    package func deleteTenant(_ id: TenantID, as principal: Principal) async throws(TenantRegistryError) -> String {
        try requireOperator(principal)
        return try await control.deleteTenant(id, actor: principal.clientID)
    }

    /// Waits until the controller is done with a tenant, or the time is over: the row as it is then, nil when gone.
    package func settled(_ id: TenantID, within limit: Duration) async throws(TenantRegistryError) -> TenantRecord? {
        let end = ContinuousClock.now + limit
        while true {
            let tenant = try await control.tenant(id)
            guard let tenant, tenant.state == .provisioning || tenant.state == .deleting, ContinuousClock.now < end
            else { return tenant }
            do {
                try await Task.sleep(for: .milliseconds(25))
            } catch {
                return tenant
            }
        }
    }

    // MARK: Clients

    /// The clients of a tenant or of the region (nil), by id.
    package func clients(
        of tenant: TenantID?, _ page: PageRequest, as principal: Principal
    ) async throws(TenantRegistryError) -> Page<ClientDescription> {
        let acting = try acting(principal, on: tenant)
        try await requireTenant(tenant)
        return try await database.clients(of: tenant, page, acting: acting).map { client in
            client.description(endpoints: endpoints)
        }
    }

    /// - Throws: `unknown-tenant`.
    package func client(
        _ id: String, of tenant: TenantID?, as principal: Principal
    ) async throws(TenantRegistryError) -> ClientDescription {
        _ = try acting(principal, on: tenant)
        guard let client = try await database.client(id, of: tenant) else {
            throw TenantRegistryError(.unknownTenant, "no such client")
        }
        return client.description(endpoints: endpoints)
    }

    /// Registers a client with its public keys.
    ///
    /// - Throws: `conflict`, `invalid-value`, `unknown-tenant`, `denied`.
    package func createClient(
        _ new: NewClient, in tenant: TenantID?, as principal: Principal
    ) async throws(TenantRegistryError) -> ClientDescription {
        let acting = try acting(principal, on: tenant)
        try await database.createClient(new, in: tenant, acting: acting, actor: principal.clientID)
        return try await client(new.id, of: tenant, as: principal)
    }

    /// Ends a client: no new tokens, and the old ones end within a second.
    package func disableClient(
        _ id: String, of tenant: TenantID?, as principal: Principal
    ) async throws(TenantRegistryError) {
        let acting = try acting(principal, on: tenant)
        try await database.disableClient(id, of: tenant, acting: acting, actor: principal.clientID)
    }

    /// Ends one token of the caller's tenant, or of any for the operator. A token that is not good any more needs nothing.
    package func revokeToken(_ text: String, as principal: Principal) async throws(TenantRegistryError) {
        let token: AccessToken
        do throws(IdentityError) {
            token = try await verifier.inspect(text)
        } catch  where error.code == .unavailable {
            throw TenantRegistryError(.unavailable, "try again later")
        } catch {
            return
        }
        let acting = try acting(principal, on: token.principal.tenant)
        try await database.revoke(token.principal, acting: acting, actor: principal.clientID)
        verifier.apply([
            Revocation(
                subject: .token(token.principal.tokenID), tenant: token.principal.tenant, at: token.issuedAt,
                expiresAt: token.principal.expiresAt)
        ])
    }

    // MARK: Who may

    private static let denied = TenantRegistryError(.denied, "this needs an operator or the tenant's administrator")

    private func requireOperator(_ principal: Principal) throws(TenantRegistryError) {
        guard principal.kind == .operator, principal.tenant == nil else {
            throw TenantRegistryError(.denied, "this needs an operator")
        }
    }

    /// The acting tenant for the control database; nil is the region.
    private func acting(_ principal: Principal) throws(TenantRegistryError) -> TenantID? {
        switch principal.kind {
        case .operator where principal.tenant == nil: return nil
        case .tenantAdministrator:
            guard let own = principal.tenant else { throw Self.denied }
            return own
        default: throw Self.denied
        }
    }

    /// The same for something of one tenant or of the region (nil). Another's tenant does not exist.
    private func acting(_ principal: Principal, on tenant: TenantID?) throws(TenantRegistryError) -> TenantID? {
        let acting = try acting(principal)
        guard acting == nil || acting == tenant else {
            throw TenantRegistryError(.unknownTenant, "no such tenant")
        }
        return acting
    }

    private func requireTenant(_ tenant: TenantID?) async throws(TenantRegistryError) {
        guard let tenant else { return }
        guard try await control.tenant(tenant) != nil else {
            throw TenantRegistryError(.unknownTenant, "no such tenant")
        }
    }
}
