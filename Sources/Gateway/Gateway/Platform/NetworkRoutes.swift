package import ApplicationRegistry
import CloudHTTP
import HTTPTypes
import ModuleKit
package import ResourcePools
import StrictJSON

/// `/v1/tenants/{tenant}/networks…`: private networks of a tenant's machines.
package struct NetworkRoutes: Sendable {
    private let administration: ResourceAdministration
    private let writes: IdempotentWrites
    private let bodyBytes: Int

    package init(administration: ResourceAdministration, ledger: IdempotencyLedger, limits: GatewayLimits) {
        self.administration = administration
        writes = IdempotentWrites(ledger: ledger)
        bodyBytes = limits.bodyBytes
    }

    package var routes: [Route] {
        let all = "/v1/tenants/{tenant}/networks"
        let one = all + "/{network}"
        return [
            .list(all, "listNetworks", handler: listNetworks),
            Route(.post, all, "createNetwork", audience: .anyPrincipal, bodyLimit: bodyBytes, handler: createNetwork),
            Route(.get, one, "showNetwork", audience: .anyPrincipal, handler: showNetwork),
            Route(.delete, one, "deleteNetwork", audience: .anyPrincipal, handler: deleteNetwork),
        ]
    }

    @Sendable private func listNetworks(_ request: GatewayRequest) async throws -> ModuleResponse {
        let page = try await administration.networks(
            of: try request.tenant, try request.page(by: .text), as: try request.caller)
        return .page(page, request) { network, items in network.write(to: &items) }
    }

    @Sendable private func createNetwork(_ request: GatewayRequest) async throws -> ModuleResponse {
        let tenant = try request.tenant
        let json = try request.jsonText
        let caller = try request.caller
        return try await writes.begin("POST /v1/tenants/\(tenant)/networks", request) { key, _ in
            .accepted(try await administration.asked(by: key).createNetwork(json, in: tenant, as: caller))
        }
    }

    @Sendable private func showNetwork(_ request: GatewayRequest) async throws -> ModuleResponse {
        let network = try await administration.network(
            try request.resourceName("network"), of: try request.tenant, as: try request.caller)
        return .json(.ok) { network.write(to: &$0) }
    }

    @Sendable private func deleteNetwork(_ request: GatewayRequest) async throws -> ModuleResponse {
        let tenant = try request.tenant
        let name = try request.resourceName("network")
        let caller = try request.caller
        return try await writes.begin("DELETE /v1/tenants/\(tenant)/networks/\(name)", request) { key, _ in
            .accepted(try await administration.asked(by: key).deleteNetwork(name, in: tenant, as: caller))
        }
    }
}
