package import ApplicationRegistry
import CloudHTTP
import HTTPTypes
import ModuleKit
package import ResourcePools
import StrictJSON

/// What a tenant may use and has used, what there is to build from, and what is not as it was asked for.
package struct PoolRoutes: Sendable {
    private let administration: ResourceAdministration
    private let writes: IdempotentWrites
    private let bodyBytes: Int
    /// Microseconds since 1970.
    private let now: @Sendable () -> Int64

    package init(
        administration: ResourceAdministration, ledger: IdempotencyLedger, limits: GatewayLimits,
        now: @escaping @Sendable () -> Int64
    ) {
        self.administration = administration
        writes = IdempotentWrites(ledger: ledger)
        bodyBytes = limits.bodyBytes
        self.now = now
    }

    package var routes: [Route] {
        [
            Route(.get, "/v1/tenants/{tenant}/quota", "showQuota", audience: .anyPrincipal, handler: showQuota),
            Route(
                .put, "/v1/tenants/{tenant}/quota", "setQuota", audience: .anyPrincipal, bodyLimit: bodyBytes,
                handler: setQuota),
            .list("/v1/tenants/{tenant}/usage", "readUsage", filters: ["from", "to"], handler: readUsage),
            .list("/v1/images", "listImages", handler: listImages),
            .list("/v1/drift", "listDrift", handler: listDrift),
        ]
    }

    @Sendable private func showQuota(_ request: GatewayRequest) async throws -> ModuleResponse {
        .quotas(try await administration.quotas(of: try request.tenant, as: try request.caller))
    }

    @Sendable private func setQuota(_ request: GatewayRequest) async throws -> ModuleResponse {
        let tenant = try request.tenant
        let json = try request.jsonText
        let caller = try request.caller
        return try await writes.begin("PUT /v1/tenants/\(tenant)/quota", request) { key, isMade in
            if !isMade { try await administration.asked(by: key).setQuota(json, of: tenant, as: caller) }
            return .quotas(try await administration.quotas(of: tenant, as: caller))
        }
    }

    /// Seconds that are read when no beginning is given: a day.
    private static let defaultMicroseconds: Int64 = 86_400_000_000

    @Sendable private func readUsage(_ request: GatewayRequest) async throws -> ModuleResponse {
        let end = try Self.instant("to", request) ?? now()
        let begin = try Self.instant("from", request) ?? max(0, end - Self.defaultMicroseconds)
        guard begin <= end else {
            throw Problem(
                .invalidInput, "The time ends before it begins.",
                fields: [Problem.Field(pointer: "query:to", detail: "must not be before from")])
        }
        let page = try await administration.usage(
            of: try request.tenant, from: begin, to: end, try request.page(by: .text, .text), as: try request.caller)
        // The next page is of the same time, whenever it is asked for.
        let time = [("from", begin), ("to", end)].map { name, instant in
            HTTPQuery.Parameter(name: name, value: InstantText.format(instant))
        }
        let pinned = time.filter { request.query.all($0.name).isEmpty }
        return .page(page, request, pinned: pinned, head: time) { summary, items in summary.write(to: &items) }
    }

    private static func instant(_ name: String, _ request: GatewayRequest) throws(Problem) -> Int64? {
        let texts = request.query.all(name)
        guard let text = texts.first else { return nil }
        guard texts.count == 1, let instant = InstantText.parse(text) else {
            throw Problem(
                .invalidInput, "The parameter \(name) is wrong.",
                fields: [
                    Problem.Field(
                        pointer: "query:" + name, detail: "must be one time such as 2026-11-29T05:00:00Z")
                ])
        }
        return instant
    }

    @Sendable private func listImages(_ request: GatewayRequest) async throws -> ModuleResponse {
        let page = try await administration.images(try request.page(by: .text), as: try request.caller)
        return .page(page, request) { image, items in image.write(to: &items) }
    }

    @Sendable private func listDrift(_ request: GatewayRequest) async throws -> ModuleResponse {
        let page = try await administration.drifts(
            try request.page(by: .text, .text, .text), as: try request.caller)
        return .page(page, request) { drift, items in drift.write(to: &items) }
    }
}

extension ModuleResponse {
    fileprivate static func quotas(_ quotas: [Quota]) -> ModuleResponse {
        .json(.ok) { writer in
            writer.object { body in
                for quota in quotas { quota.write(to: &body) }
            }
        }
    }
}
