package import ApplicationRegistry
import CloudHTTP
import CloudModel
import HTTPTypes
import ModuleKit
import NIOCore

/// The routes of the authorization servers: one of each tenant, one of the region.
package struct IdentityRoutes: Sendable {
    private let server: AuthorizationServer
    private let directory: any TenantDirectory
    private let formBytes: Int

    package init(server: AuthorizationServer, directory: any TenantDirectory, limits: GatewayLimits) {
        self.server = server
        self.directory = directory
        formBytes = limits.formBytes
    }

    package var routes: [Route] {
        [
            Route(
                .post, "/t/{tenant}/oauth2/token", "tenantToken", bodyLimit: formBytes, isCrossOrigin: true,
                handler: tenantToken),
            Route(
                .post, "/t/{tenant}/oauth2/introspect", "tenantIntrospect", bodyLimit: formBytes,
                handler: tenantIntrospect),
            Route(.post, "/t/{tenant}/oauth2/revoke", "tenantRevoke", bodyLimit: formBytes, handler: tenantRevoke),
            Route(.get, "/t/{tenant}/oauth2/jwks", "tenantKeySet", isCrossOrigin: true, handler: tenantKeySet),
            Route(
                .get, "/t/{tenant}/fhir/.well-known/smart-configuration", "tenantSmartConfiguration",
                isCrossOrigin: true, handler: tenantSmartConfiguration),
            Route(.post, "/region/oauth2/token", "regionToken", bodyLimit: formBytes, handler: regionToken),
            Route(
                .post, "/region/oauth2/introspect", "regionIntrospect", bodyLimit: formBytes,
                handler: regionIntrospect),
            Route(.post, "/region/oauth2/revoke", "regionRevoke", bodyLimit: formBytes, handler: regionRevoke),
            Route(.get, "/region/oauth2/jwks", "regionKeySet", handler: regionKeySet),
            Route(
                .get, "/region/.well-known/smart-configuration", "regionSmartConfiguration",
                handler: regionSmartConfiguration),
            Route(
                .get, "/region/fhir/.well-known/smart-configuration", "regionFHIRSmartConfiguration",
                handler: regionFHIRSmartConfiguration),
        ]
    }

    // Each handler has its operation's name.

    @Sendable private func tenantToken(_ request: GatewayRequest) async throws -> ModuleResponse {
        answer(await server.token(exchange(request), of: try request.tenant))
    }
    @Sendable private func tenantIntrospect(_ request: GatewayRequest) async throws -> ModuleResponse {
        answer(await server.introspect(exchange(request), of: try request.tenant))
    }
    @Sendable private func tenantRevoke(_ request: GatewayRequest) async throws -> ModuleResponse {
        answer(await server.revoke(exchange(request), of: try request.tenant))
    }
    @Sendable private func tenantKeySet(_ request: GatewayRequest) async throws -> ModuleResponse {
        try document(await server.keySet(of: try request.tenant))
    }
    @Sendable private func tenantSmartConfiguration(_ request: GatewayRequest) async throws -> ModuleResponse {
        let tenant = try request.tenant
        guard try await directory.hasRecords(tenant) else { throw Problem.nothingHere }
        return try document(await server.smartConfiguration(of: tenant))
    }
    @Sendable private func regionToken(_ request: GatewayRequest) async throws -> ModuleResponse {
        answer(await server.token(exchange(request), of: nil))
    }
    @Sendable private func regionIntrospect(_ request: GatewayRequest) async throws -> ModuleResponse {
        answer(await server.introspect(exchange(request), of: nil))
    }
    @Sendable private func regionRevoke(_ request: GatewayRequest) async throws -> ModuleResponse {
        answer(await server.revoke(exchange(request), of: nil))
    }
    @Sendable private func regionKeySet(_ request: GatewayRequest) async throws -> ModuleResponse {
        try document(await server.keySet(of: nil))
    }
    @Sendable private func regionSmartConfiguration(_ request: GatewayRequest) async throws -> ModuleResponse {
        try document(await server.smartConfiguration(of: nil))
    }
    /// The same document where SMART clients look for it: below the FHIR base.
    @Sendable private func regionFHIRSmartConfiguration(_ request: GatewayRequest) async throws -> ModuleResponse {
        try document(await server.smartConfiguration(of: nil))
    }

    private func exchange(_ request: GatewayRequest) -> OAuthRequest {
        OAuthRequest(
            body: request.bytes, contentType: request.headers[.contentType],
            hasAuthorization: request.headers[.authorization] != nil)
    }

    /// RFC 6749 has its own error form, which OAuth clients read; it is passed on as it is.
    private func answer(_ response: OAuthResponse) -> ModuleResponse {
        var headers = HTTPFields()
        for (name, value) in response.headers {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
        return ModuleResponse(
            status: HTTPResponse.Status(code: response.status), headers: headers, body: ByteBuffer(bytes: response.body)
        )
    }

    /// Documents are no OAuth exchange: a tenant that does not exist gets the edge's one 404.
    private func document(_ response: OAuthResponse) throws(Problem) -> ModuleResponse {
        guard response.status != 404 else { throw .nothingHere }
        return answer(response)
    }
}
