package import ApplicationRegistry
import CloudHTTP
import CloudModel
import HTTPTypes
import ModuleKit
import NIOCore
package import ResourcePools
import StrictJSON

/// `/v1/tenants/{tenant}/instances…`: virtual machines of a tenant.
package struct InstanceRoutes: Sendable {
    private let administration: ResourceAdministration
    private let writes: IdempotentWrites
    private let bodyBytes: Int

    package init(administration: ResourceAdministration, ledger: IdempotencyLedger, limits: GatewayLimits) {
        self.administration = administration
        writes = IdempotentWrites(ledger: ledger)
        bodyBytes = limits.bodyBytes
    }

    package var routes: [Route] {
        let all = "/v1/tenants/{tenant}/instances"
        let one = all + "/{instance}"
        return [
            .list(all, "listInstances", handler: listInstances),
            Route(
                .post, all, "createInstance", audience: .anyPrincipal, bodyLimit: bodyBytes, handler: createInstance),
            Route(.get, one, "showInstance", audience: .anyPrincipal, handler: showInstance),
            Route(.put, one, "updateInstance", audience: .anyPrincipal, bodyLimit: bodyBytes, handler: updateInstance),
            Route(.delete, one, "deleteInstance", audience: .anyPrincipal, handler: deleteInstance),
            Route(.post, one + "/start", "startInstance", audience: .anyPrincipal, handler: startInstance),
            Route(.post, one + "/stop", "stopInstance", audience: .anyPrincipal, handler: stopInstance),
            Route(.post, one + "/reboot", "rebootInstance", audience: .anyPrincipal, handler: rebootInstance),
            Route(.get, one + "/console", "readConsole", audience: .anyPrincipal, handler: readConsole),
        ]
    }

    @Sendable private func listInstances(_ request: GatewayRequest) async throws -> ModuleResponse {
        let page = try await administration.instances(
            of: try request.tenant, try request.page(by: .text), as: try request.caller)
        return .page(page, request) { instance, items in instance.write(to: &items) }
    }

    @Sendable private func createInstance(_ request: GatewayRequest) async throws -> ModuleResponse {
        let tenant = try request.tenant
        let json = try request.jsonText
        let caller = try request.caller
        return try await writes.begin("POST /v1/tenants/\(tenant)/instances", request) { key, _ in
            .accepted(try await administration.asked(by: key).createInstance(json, in: tenant, as: caller))
        }
    }

    @Sendable private func showInstance(_ request: GatewayRequest) async throws -> ModuleResponse {
        let instance = try await administration.instance(
            try request.resourceName("instance"), of: try request.tenant, as: try request.caller)
        return .json(.ok) { instance.write(to: &$0) }
    }

    /// The whole specification as it is to be. 200 with the instance when it is so already.
    @Sendable private func updateInstance(_ request: GatewayRequest) async throws -> ModuleResponse {
        let tenant = try request.tenant
        let name = try request.resourceName("instance")
        let json = try request.jsonText
        guard try request.jsonObject["name"]?.string == name else {
            throw Problem(
                .invalidInput, "The name in the body must be the one in the path.",
                fields: [Problem.Field(pointer: "/name", detail: "must be \"\(name)\": an instance keeps its name")])
        }
        let caller = try request.caller
        return try await writes.begin("PUT /v1/tenants/\(tenant)/instances/\(name)", request) { key, _ in
            let asked = administration.asked(by: key)
            if let operation = try await asked.updateInstance(json, in: tenant, as: caller) {
                return .accepted(operation)
            }
            let instance = try await administration.instance(name, of: tenant, as: caller)
            return .json(.ok) { instance.write(to: &$0) }
        }
    }

    @Sendable private func deleteInstance(_ request: GatewayRequest) async throws -> ModuleResponse {
        try await change(request, .delete, "DELETE", "")
    }
    @Sendable private func startInstance(_ request: GatewayRequest) async throws -> ModuleResponse {
        try await change(request, .start, "POST", "/start")
    }
    @Sendable private func stopInstance(_ request: GatewayRequest) async throws -> ModuleResponse {
        try await change(request, .stop, "POST", "/stop")
    }
    @Sendable private func rebootInstance(_ request: GatewayRequest) async throws -> ModuleResponse {
        try await change(request, .reboot, "POST", "/reboot")
    }

    private func change(
        _ request: GatewayRequest, _ change: InstanceChangeRequest, _ method: String, _ suffix: String
    ) async throws -> ModuleResponse {
        let tenant = try request.tenant
        let name = try request.resourceName("instance")
        let caller = try request.caller
        return try await writes.begin("\(method) /v1/tenants/\(tenant)/instances/\(name)\(suffix)", request) { key, _ in
            .accepted(try await administration.asked(by: key).change(name, change, in: tenant, as: caller))
        }
    }

    /// What the guest wrote, which may be anything: never shown as more than text.
    @Sendable private func readConsole(_ request: GatewayRequest) async throws -> ModuleResponse {
        let log = try await administration.console(
            of: try request.resourceName("instance"), in: try request.tenant, as: try request.caller)
        return ModuleResponse(
            status: .ok, headers: [.contentType: "text/plain; charset=utf-8"],
            body: ByteBuffer(string: String(decoding: log, as: UTF8.self)))
    }
}

extension GatewayRequest {
    /// The body as the text of one strict JSON object.
    var jsonText: String {
        get throws { String(decoding: try jsonObject.rawBytes, as: UTF8.self) }
    }

    /// The path's `{name}`, which is the name of an instance or network.
    ///
    /// - Throws: the one 404 when nothing can have it.
    func resourceName(_ name: String) throws(Problem) -> String {
        // The rule is that of a tenant's id, and nothing is reserved.
        guard let text = parameters[name], text == "region" || TenantID(text) != nil else { throw .nothingHere }
        return text
    }
}
