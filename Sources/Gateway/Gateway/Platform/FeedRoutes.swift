package import ApplicationRegistry
import CloudHTTP
import CloudIdentity
import CloudModel
package import EventBus
import HTTPTypes
import ModuleKit
import NIOCore
import StrictJSON

/// `/v1/feeds…`: how far the consumers of the tenants' changes are. For the operator.
package struct FeedRoutes: Sendable {
    private let feeds: OutboxFeeds
    private let writes: IdempotentWrites

    package init(feeds: OutboxFeeds, ledger: IdempotencyLedger) {
        self.feeds = feeds
        writes = IdempotentWrites(ledger: ledger)
    }

    package var routes: [Route] {
        [
            .list("/v1/feeds", "listFeeds", handler: listFeeds),
            Route(.post, "/v1/feeds/{tenant}/retry", "retryFeeds", audience: .anyPrincipal, handler: retryFeeds),
            Route(.post, "/v1/feeds/{tenant}/rebuild", "rebuildFeeds", audience: .anyPrincipal, handler: rebuildFeeds),
        ]
    }

    @Sendable private func listFeeds(_ request: GatewayRequest) async throws -> ModuleResponse {
        try requireOperator(request)
        let page = try await feeds.list(try request.page(by: .text, .text))
        return .page(page, request) { report, items in report.write(to: &items) }
    }

    @Sendable private func retryFeeds(_ request: GatewayRequest) async throws -> ModuleResponse {
        try await ask(.retry, request)
    }

    @Sendable private func rebuildFeeds(_ request: GatewayRequest) async throws -> ModuleResponse {
        try await ask(.rebuild, request)
    }

    private func ask(_ wish: FeedWish, _ request: GatewayRequest) async throws -> ModuleResponse {
        try requireOperator(request)
        let tenant = try request.tenant
        return try await writes.run("POST /v1/feeds/\(tenant)/\(wish.rawValue)", request) {
            try await feeds.ask(wish, of: tenant.rawValue)
            return ModuleResponse(status: .accepted)
        }
    }

    private func requireOperator(_ request: GatewayRequest) throws(Problem) {
        let caller = try request.caller
        guard caller.kind == .operator, caller.tenant == nil else { throw Problem(.insufficientScope) }
    }
}

extension FeedReport {
    func write(to writer: inout JSONWriter) {
        writer.object { body in
            body.member("tenant", tenant)
            body.member("consumer", consumer)
            body.member("held", isHeld)
            body.member("asked", wish?.rawValue)
            body.member("position", position)
            body.member("waiting", deferred)
            body.member("parked", parked)
            body.member("parkedChanges", raw: parkedChanges.utf8)
            body.member("failure", failure)
            body.member("reportedAt", reportedAt)
        }
    }
}
