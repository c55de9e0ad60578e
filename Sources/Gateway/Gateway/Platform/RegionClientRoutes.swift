package import ApplicationRegistry
import CloudHTTP
import CloudIdentity
import HTTPTypes
import ModuleKit
import NIOCore
import StrictJSON

/// `/v1/clients…`: the clients of the region, each of which acts for an institution. For the operator.
package struct RegionClientRoutes: Sendable {
    private let administration: TenantAdministration
    private let writes: IdempotentWrites
    private let bodyBytes: Int

    package init(administration: TenantAdministration, ledger: IdempotencyLedger, limits: GatewayLimits) {
        self.administration = administration
        writes = IdempotentWrites(ledger: ledger)
        bodyBytes = limits.bodyBytes
    }

    package var routes: [Route] {
        [
            .list("/v1/clients", "listRegionClients", handler: listRegionClients),
            Route(
                .post, "/v1/clients", "createRegionClient", audience: .anyPrincipal, bodyLimit: bodyBytes,
                handler: createRegionClient),
            Route(
                .get, "/v1/clients/{client}", "showRegionClient", audience: .anyPrincipal, handler: showRegionClient),
            Route(
                .delete, "/v1/clients/{client}", "disableRegionClient", audience: .anyPrincipal,
                handler: disableRegionClient),
        ]
    }

    @Sendable private func listRegionClients(_ request: GatewayRequest) async throws -> ModuleResponse {
        let page = try await administration.clients(
            of: nil, try request.page(by: .text), as: try request.caller)
        return .page(page, request) { client, items in client.write(to: &items) }
    }

    @Sendable private func createRegionClient(_ request: GatewayRequest) async throws -> ModuleResponse {
        let new = try NewClient(json: try request.jsonObject, isOfRegion: true)
        let caller = try request.caller
        return try await writes.begin("POST /v1/clients", request) { key, isMade in
            let client =
                isMade
                ? try await administration.client(new.id, of: nil, as: caller)
                : try await administration.asked(by: key).createClient(new, in: nil, as: caller)
            var response = ModuleResponse.json(.created) { client.write(to: &$0) }
            response.headers[.location] = "/v1/clients/" + PercentCoding.encode(client.id)
            return response
        }
    }

    @Sendable private func showRegionClient(_ request: GatewayRequest) async throws -> ModuleResponse {
        let client = try await administration.client(
            request.parameters["client"] ?? "", of: nil, as: try request.caller)
        return .json(.ok) { client.write(to: &$0) }
    }

    @Sendable private func disableRegionClient(_ request: GatewayRequest) async throws -> ModuleResponse {
        let id = request.parameters["client"] ?? ""
        let caller = try request.caller
        return try await writes.begin("DELETE /v1/clients/\(id.prefix(200))", request) { key, isMade in
            if !isMade { try await administration.asked(by: key).disableClient(id, of: nil, as: caller) }
            return ModuleResponse(status: .noContent)
        }
    }
}
