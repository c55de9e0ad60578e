import CloudHTTP
import CloudIdentity
import CloudModel
import CloudTelemetry
import HTTPTypes
import ModuleKit
import NIOCore
import TenantRegistry

/// Decides on the event loop whether a request is a hot read, with the same checks as the ordinary way: token, tenant,
/// budget. Whatever needs waiting, decoding or a second thought falls through to the router.
struct HotReadGate: Sendable {
    private let tokens: any TokenChecking
    private let tenants: any TenantOpening
    private let hotRead: any HotRead
    private let budget: TenantBudget
    private let headers: AnswerHeaders
    private let metrics: GatewayMetrics
    private let routeMetrics: GatewayMetrics.RouteMetrics
    private let typeBase: String

    /// Nil when no module answers hot reads.
    init?(services: GatewayServices) {
        guard let hotRead = services.modules.fhir?.module.hotRead else { return nil }
        self.hotRead = hotRead
        tokens = services.tokens
        tenants = services.tenants
        budget = services.budget
        headers = AnswerHeaders(isSecure: services.isSecure)
        metrics = services.metrics
        routeMetrics = services.metrics.route(method: "GET", pattern: "/t/{tenant}/fhir/{type}/{id}")
        typeBase = services.typeBase
    }

    /// A hot read under way.
    struct Ticket {
        let answer: EventLoopFuture<ModuleResponse>
        fileprivate let requestID: String
        fileprivate let started: NIODeadline
        fileprivate let lease: TenantBudget.Lease
    }

    /// Begins the read, or returns nil when the request must take the ordinary way. Nothing is held then.
    func begin(_ request: HTTPRequest, remoteAddress: String, on eventLoop: any EventLoop) -> Ticket? {
        guard request.method == .get, let path = request.path, let target = HotTarget(path),
            let hints = HeadHints(request.headerFields), let token = BearerToken.parse(hints.authorization),
            let known = tokens.cached(token), let access = known.access, access.tenant.rawValue == target.tenant,
            let database = tenants.opened(access), database.tenant.kind != .partner,
            let lease = try? budget.acquire(access.tenant)
        else { return nil }
        let requestID = RequestID.accepted(hints.requestID) ?? RequestID.make()
        let read = HotReadRequest(
            type: target.type, id: target.id, access: access, principal: known.principal, requestID: requestID,
            remoteAddress: remoteAddress)
        guard let answer = hotRead.read(read, in: database, on: eventLoop) else {
            budget.release(lease)
            return nil
        }
        return Ticket(answer: answer, requestID: requestID, started: .now(), lease: lease)
    }

    /// Completes a read: gives back what it held, counts it and returns the answer to write.
    func finish(_ ticket: Ticket, _ result: Result<ModuleResponse, any Error>) -> ModuleResponse {
        budget.release(ticket.lease)
        var response: ModuleResponse
        switch result {
        case .success(let answer):
            response = answer
        case .failure:
            response = ErrorStyle.operationOutcome.response(
                Problem(.unavailable, "The record cannot be read now.", retryAfter: 1), requestID: ticket.requestID,
                typeBase: typeBase)
        }
        response.headers.append(HTTPField(name: .contentLength, value: String(response.body.readableBytes)))
        // Answers of a FHIR base differ by origin (CORS); the ordinary way says so too.
        response.headers.append(HTTPField(name: .vary, value: "Origin"))
        headers.apply(to: &response.headers, requestID: ticket.requestID)
        metrics.hotReads.increment()
        routeMetrics.record(
            status: response.status.code, nanoseconds: (NIODeadline.now() - ticket.started).nanoseconds)
        return response
    }
}
