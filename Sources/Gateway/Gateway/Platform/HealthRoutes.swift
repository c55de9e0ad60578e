import CloudHTTP
package import CloudTelemetry
import HTTPTypes
import ModuleKit
import NIOCore
import StrictJSON

/// `/healthz`, `/readyz` and `/metrics`.
package struct HealthRoutes: Sendable {
    private let checks: [ReadinessCheck]
    private let registry: MetricsRegistry

    package init(checks: [ReadinessCheck], registry: MetricsRegistry) {
        self.checks = checks
        self.registry = registry
    }

    package var routes: [Route] {
        [
            Route(.get, "/healthz", "checkHealth", handler: checkHealth),
            Route(.get, "/readyz", "checkReadiness", handler: checkReadiness),
            Route(.get, "/metrics", "readMetrics", audience: .operatorOrLoopback, handler: readMetrics),
        ]
    }

    /// The process answers; nothing else is asked.
    @Sendable private func checkHealth(_ request: GatewayRequest) async throws -> ModuleResponse {
        .json(.ok) { $0.object { $0.member("status", "ok") } }
    }

    /// 200 when everything needed is well, else 503 with the names of what is not.
    @Sendable private func checkReadiness(_ request: GatewayRequest) async throws -> ModuleResponse {
        let results = await withTaskGroup(of: (Int, Bool).self) { group in
            for (index, check) in checks.enumerated() {
                group.addTask { (index, await check.isWell()) }
            }
            var results = [Bool](repeating: false, count: checks.count)
            for await (index, isWell) in group { results[index] = isWell }
            return results
        }
        let isReady = results.allSatisfy { $0 }
        var response = ModuleResponse.json(isReady ? .ok : .serviceUnavailable) { writer in
            writer.object { body in
                body.member("status", isReady ? "ready" : "not-ready")
                body.member("checks") { members in
                    for (check, isWell) in zip(checks, results) { members.member(check.name, isWell ? "ok" : "failed") }
                }
            }
        }
        if !isReady { response.headers[.retryAfter] = "1" }
        return response
    }

    /// Prometheus text format 0.0.4.
    @Sendable private func readMetrics(_ request: GatewayRequest) async throws -> ModuleResponse {
        ModuleResponse(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
            body: ByteBuffer(bytes: registry.render()))
    }
}
