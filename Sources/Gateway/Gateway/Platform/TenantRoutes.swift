package import ApplicationRegistry
import CloudHTTP
import CloudIdentity
import CloudModel
import Coordination
import HTTPTypes
import ModuleKit
import NIOCore
import StrictJSON
import TenantRegistry

/// `/v1/tenants…`: tenants and their clients.
package struct TenantRoutes: Sendable {
    private let administration: TenantAdministration
    private let operations: OperationAdministration
    private let writes: IdempotentWrites
    private let bodyBytes: Int

    package init(
        administration: TenantAdministration, operations: OperationAdministration, ledger: IdempotencyLedger,
        limits: GatewayLimits
    ) {
        self.administration = administration
        self.operations = operations
        writes = IdempotentWrites(ledger: ledger)
        bodyBytes = limits.bodyBytes
    }

    package var routes: [Route] {
        [
            .list("/v1/tenants", "listTenants", handler: listTenants),
            Route(
                .post, "/v1/tenants", "createTenant", audience: .anyPrincipal, bodyLimit: bodyBytes,
                handler: createTenant),
            Route(.get, "/v1/tenants/{tenant}", "showTenant", audience: .anyPrincipal, handler: showTenant),
            Route(.delete, "/v1/tenants/{tenant}", "deleteTenant", audience: .anyPrincipal, handler: deleteTenant),
            .list("/v1/tenants/{tenant}/clients", "listClients", handler: listClients),
            Route(
                .post, "/v1/tenants/{tenant}/clients", "createClient", audience: .anyPrincipal, bodyLimit: bodyBytes,
                handler: createClient),
            Route(
                .get, "/v1/tenants/{tenant}/clients/{client}", "showClient", audience: .anyPrincipal,
                handler: showClient),
            Route(
                .delete, "/v1/tenants/{tenant}/clients/{client}", "disableClient", audience: .anyPrincipal,
                handler: disableClient),
        ]
    }

    // MARK: Tenants

    @Sendable private func listTenants(_ request: GatewayRequest) async throws -> ModuleResponse {
        let page = try await administration.tenants(try request.page(by: .text), as: try request.caller)
        return .page(page, request) { tenant, items in
            tenant.write(to: &items, endpoints: administration.endpoints)
        }
    }

    @Sendable private func createTenant(_ request: GatewayRequest) async throws -> ModuleResponse {
        let new = try NewTenant(json: try request.jsonObject)
        let caller = try request.caller
        return try await writes.begin("POST /v1/tenants", request) { key, _ in
            let id = try await begun(new, by: key, as: caller)
            return .accepted(try await operations.operation(id, as: caller))
        }
    }

    /// A tenant's id is the natural key of its creation: the same request again, after an answer that was lost, finds its
    /// own effect; another one is a conflict.
    private func begun(_ new: NewTenant, by key: RequestKey, as caller: Principal) async throws -> String {
        do {
            return try await administration.asked(by: key).createTenant(new, as: caller)
        } catch {
            guard error.code == .conflict, let id = TenantID(new.id) else { throw error }
            let existing = try await administration.tenant(id, as: caller)
            guard existing.name == new.name, existing.timeZone == new.timeZone, existing.language == new.language,
                existing.kind == new.kind, existing.labels == new.labels,
                existing.state == .provisioning || existing.state == .ready, let operation = existing.operation
            else { throw error }
            return operation
        }
    }

    @Sendable private func showTenant(_ request: GatewayRequest) async throws -> ModuleResponse {
        let tenant = try await administration.tenant(try request.tenant, as: try request.caller)
        return .json(.ok) { tenant.write(to: &$0, endpoints: administration.endpoints) }
    }

    @Sendable private func deleteTenant(_ request: GatewayRequest) async throws -> ModuleResponse {
        let id = try request.tenant
        let caller = try request.caller
        return try await writes.begin("DELETE /v1/tenants/\(id)", request) { key, _ in
            let operation = try await administration.asked(by: key).deleteTenant(id, as: caller)
            return .accepted(try await operations.operation(operation, as: caller))
        }
    }

    // MARK: Clients

    @Sendable private func listClients(_ request: GatewayRequest) async throws -> ModuleResponse {
        let page = try await administration.clients(
            of: try request.tenant, try request.page(by: .text), as: try request.caller)
        return .page(page, request) { client, items in client.write(to: &items) }
    }

    @Sendable private func createClient(_ request: GatewayRequest) async throws -> ModuleResponse {
        let new = try NewClient(json: try request.jsonObject)
        let tenant = try request.tenant
        let caller = try request.caller
        return try await writes.begin("POST /v1/tenants/\(tenant)/clients", request) { key, isMade in
            let client =
                isMade
                ? try await administration.client(new.id, of: tenant, as: caller)
                : try await administration.asked(by: key).createClient(new, in: tenant, as: caller)
            var response = ModuleResponse.json(.created) { client.write(to: &$0) }
            response.headers[.location] = "/v1/tenants/\(tenant)/clients/" + PercentCoding.encode(client.id)
            return response
        }
    }

    @Sendable private func showClient(_ request: GatewayRequest) async throws -> ModuleResponse {
        let client = try await administration.client(
            request.parameters["client"] ?? "", of: try request.tenant, as: try request.caller)
        return .json(.ok) { client.write(to: &$0) }
    }

    @Sendable private func disableClient(_ request: GatewayRequest) async throws -> ModuleResponse {
        let id = request.parameters["client"] ?? ""
        let tenant = try request.tenant
        let caller = try request.caller
        let operation = "DELETE /v1/tenants/\(tenant)/clients/\(id.prefix(200))"
        return try await writes.begin(operation, request) { key, isMade in
            if !isMade { try await administration.asked(by: key).disableClient(id, of: tenant, as: caller) }
            return ModuleResponse(status: .noContent)
        }
    }
}
