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

    /// The connection that a read came on.
    struct Origin {
        let remoteAddress: String
        /// For a request that brings no id of its own.
        let requestID: String
        let channel: any Channel
    }

    /// Begins a read that the decoder has read, or returns false when the request must take the ordinary way. Nothing is
    /// held then.
    ///
    /// - Parameter completion: called once on the event loop, after this has returned.
    func begin(_ request: HTTPRequest, from origin: Origin, completion: @escaping (HotAnswer) -> Void) -> Bool {
        guard request.method == .get, let path = request.path, let target = HotTarget(path),
            let hints = HeadHints(request.headerFields), let token = BearerToken.parse(hints.authorization),
            let known = tokens.cached(token), let access = known.access, access.tenant.rawValue == target.tenant
        else { return false }
        return begin(
            String(target.type), String(target.id), known, access, RequestID.accepted(hints.requestID), origin,
            completion)
    }

    /// Begins the read that `bytes` begin with.
    ///
    /// - Returns: how many bytes it was; nil when the decoder must look at them. Nothing is held then.
    func begin(
        _ bytes: UnsafeRawBufferPointer, from origin: Origin, completion: @escaping (HotAnswer) -> Void
    ) -> Int? {
        guard let read = ScannedRead(bytes),
            let known = tokens.cached(UnsafeRawBufferPointer(rebasing: bytes[read.token])),
            let access = known.access, access.tenant.rawValue.utf8.elementsEqual(bytes[read.tenant])
        else { return nil }
        let requestID = read.requestID.flatMap { RequestID.accepted(String(decoding: bytes[$0], as: UTF8.self)) }
        let hasBegun = begin(
            String(decoding: bytes[read.type], as: UTF8.self), String(decoding: bytes[read.id], as: UTF8.self), known,
            access, requestID, origin, completion)
        return hasBegun ? read.length : nil
    }

    private func begin(
        _ type: String, _ id: String, _ known: VerifiedToken, _ access: TenantAccess, _ requestID: String?,
        _ origin: Origin, _ completion: @escaping (HotAnswer) -> Void
    ) -> Bool {
        guard let database = tenants.opened(access), database.tenant.kind != .partner,
            // Over budget: the ordinary way says so.
            let lease = try? budget.acquire(access.tenant)
        else { return false }
        let requestID = requestID ?? origin.requestID
        let started = NIODeadline.now()
        let channel = origin.channel
        let read = HotReadRequest(
            type: type, id: id, access: access, principal: known.principal, requestID: requestID,
            remoteAddress: origin.remoteAddress)
        let hasBegun = hotRead.read(read, in: database, on: channel.eventLoop) { result in
            budget.release(lease)
            let (answer, status) = answer(result, requestID: requestID, allocator: channel.allocator)
            metrics.hotReads.increment()
            routeMetrics.record(status: status, nanoseconds: (NIODeadline.now() - started).nanoseconds)
            completion(answer)
        }
        if !hasBegun { budget.release(lease) }
        return hasBegun
    }

    private func answer(
        _ result: Result<HotReadAnswer, any Error>, requestID: String, allocator: ByteBufferAllocator
    ) -> (HotAnswer, status: Int) {
        var response: ModuleResponse
        switch result {
        case .success(.resource(let resource)):
            return (HotAnswer(resource, headers: headers, requestID: requestID, allocator: allocator), 200)
        case .success(.other(let other)):
            response = other
        case .failure:
            response = ErrorStyle.operationOutcome.response(
                Problem(.unavailable, "The record cannot be read now.", retryAfter: 1), requestID: requestID,
                typeBase: typeBase)
        }
        response.headers.append(HTTPField(name: .contentLength, value: String(response.body.readableBytes)))
        // Answers of a FHIR base differ by origin (CORS); the ordinary way says so too.
        response.headers.append(HTTPField(name: .vary, value: "Origin"))
        headers.apply(to: &response.headers, requestID: requestID)
        return (HotAnswer(response), response.status.code)
    }
}
