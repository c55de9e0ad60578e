import CloudHTTP
import CloudModel
import CloudTelemetry
import HTTPTypes
import HummingbirdCore
import Logging
import ModuleKit
import NIOCore
import NIOHTTP1
import PostgresDriver
import ResourcePools
import StrictJSON
import TenantRegistry

/// Answers one request of the ordinary way: plan, body, work, answer. Every failure becomes an answer here and only here.
struct GatewayResponder: Sendable {
    private let services: GatewayServices
    private let planner: RequestPlanner
    private let answerHeaders: AnswerHeaders

    init(services: GatewayServices) {
        self.services = services
        planner = RequestPlanner(services: services)
        answerHeaders = AnswerHeaders(isSecure: services.isSecure)
    }

    /// - Parameter closed: succeeds when the connection is closed.
    /// - Throws: only when the connection is gone or the body stops being HTTP; Hummingbird closes it then.
    func respond(
        _ request: Request, _ writer: consuming ResponseWriter, remoteAddress: String, closed: EventLoopFuture<Void>
    ) async throws {
        let started = NIODeadline.now()
        let requestID = RequestID.accepted(request.headers[.requestID]) ?? RequestID.make()
        var label = "unmatched"
        // From the bytes as they came, for targets that cannot be decoded.
        let written = (request.head.path ?? "").prefix { $0 != "?" }.split(separator: "/")
        var style = ErrorStyle(path: written.map { String($0) })
        var path: [String] = []
        var isBodyRead = !Self.hasBody(request.headers)
        var lease: TenantBudget.Lease?
        defer { if let lease { services.budget.release(lease) } }
        var response: ModuleResponse
        do {
            let head = try Self.head(of: request, requestID: requestID, remoteAddress: remoteAddress)
            path = head.path
            style = ErrorStyle(path: path)
            let plan = try await planner.plan(head)
            label = plan.label
            lease = plan.lease
            var body = ByteBuffer()
            if !isBodyRead {
                if Self.expectsContinue(request.headers), Self.length(request.headers) ?? 0 <= plan.bodyLimit {
                    try await writer.writeInformationalHead(HTTPResponse(status: .continue))
                }
                let collected = try await services.bodies.collect(request, limit: plan.bodyLimit)
                defer { services.bodies.release(collected) }
                isBodyRead = true
                body = collected.buffer
                response = try await run(plan, body)
            } else {
                response = try await run(plan, body)
            }
        } catch let error as HTTPParserError {
            throw error
        } catch let error where Self.isConnectionLost(error) {
            throw error
        } catch {
            response = answer(error, style: style, request: request, requestID: requestID)
        }
        let isHead = request.method == .head
        var streamLease: TenantBudget.Lease?
        defer { if let streamLease { services.streams.release(streamLease) } }
        if response.stream != nil, !isHead {
            do throws(TenantBudget.Refusal) {
                streamLease = try services.streams.acquire(lease?.tenant)
            } catch {
                response = answer(
                    Self.problem(noStream: error), style: style, request: request, requestID: requestID)
            }
        }
        let origin = request.headers[.origin]
        if CrossOriginPolicy.covers(path) {
            var isRegistered = false
            if let origin { isRegistered = await planner.crossOrigin.isRegistered(origin, path: path) }
            if response.headers[.accessControlAllowOrigin] == nil {
                planner.crossOrigin.decorate(
                    &response.headers, origin: origin, isRegistered: isRegistered, path: path)
            }
        }
        answerHeaders.apply(to: &response.headers, requestID: requestID)
        if request.method == .connect || !isBodyRead && Self.length(request.headers) ?? .max > 1 << 20 {
            // What follows a CONNECT is no request (RFC 9110 §9.3.6); and rather a new connection than reading what nobody
            // wants.
            response.headers[.connection] = "close"
        }
        let nanoseconds = (NIODeadline.now() - started).nanoseconds
        services.metrics.route(method: request.method.rawValue, pattern: label)
            .record(status: response.status.code, nanoseconds: nanoseconds)
        if let stream = response.stream {
            let body = StreamingBody(stream: stream, duration: services.limits.streamDuration, closed: closed)
            try await send(body, response, isHead: isHead, writer)
        } else {
            try await write(response, isHead: isHead, writer)
        }
    }

    /// A stream is its connection's last answer: what follows it on the same connection would wait for minutes.
    private func send(
        _ body: StreamingBody, _ response: ModuleResponse, isHead: Bool, _ writer: consuming ResponseWriter
    ) async throws {
        var headers = response.headers
        headers[.connection] = "close"
        let head = HTTPResponse(status: response.status, headerFields: headers)
        guard !isHead else {
            try await writer.writeResponse(head)
            return
        }
        try await writer.write(
            response: head,
            body: ResponseBody { writer in
                try await body.write(to: &writer)
                try await writer.finish(nil)
            })
    }

    private func run(_ plan: RequestPlan, _ body: ByteBuffer) async throws -> ModuleResponse {
        try await withDeadline(plan.deadline) { try await plan.run(body) }
    }

    private func write(
        _ response: ModuleResponse, isHead: Bool, _ writer: consuming ResponseWriter
    ) async throws {
        var headers = response.headers
        let hasNoContent = response.status == .noContent || response.status == .notModified
        if !hasNoContent { headers[.contentLength] = String(response.body.readableBytes) }
        let head = HTTPResponse(status: response.status, headerFields: headers)
        if isHead || hasNoContent || response.body.readableBytes == 0 {
            try await writer.writeResponse(head)
        } else {
            try await writer.write(response: head, body: ResponseBody(byteBuffer: response.body))
        }
    }

    // MARK: The head

    private static func head(
        of request: Request, requestID: String, remoteAddress: String
    ) throws(Problem) -> RequestHead {
        let target: RequestTarget
        do {
            target = try RequestTarget(parsing: request.head.path ?? "")
        } catch {
            throw Problem(.malformedRequest, "The request target cannot be decoded.")
        }
        return RequestHead(
            method: request.method, path: target.segments, query: target.query, headers: request.headers,
            requestID: requestID, remoteAddress: remoteAddress)
    }

    private static func hasBody(_ headers: HTTPFields) -> Bool {
        headers[.transferEncoding] != nil || length(headers) ?? 0 > 0
    }

    private static func length(_ headers: HTTPFields) -> Int? {
        headers[.contentLength].flatMap { Int($0) }
    }

    private static func expectsContinue(_ headers: HTTPFields) -> Bool {
        headers[.expect]?.lowercased() == "100-continue"
    }

    // MARK: Failures

    private static func isConnectionLost(_ error: any Error) -> Bool {
        error is ChannelError || error is IOError || error is CancellationError
    }

    private func answer(
        _ error: any Error, style: ErrorStyle, request: Request, requestID: String
    ) -> ModuleResponse {
        let problem = Self.problem(for: error)
        if problem.code.status >= 500 {
            var metadata: Logger.Metadata = [
                "request.id": .string(requestID), "problem.code": .string(problem.code.name),
                "error.kind": .string(String(describing: type(of: error))),
            ]
            if let database = error as? PostgresError {
                // Messages of the server may quote values; the code and the names of things do not.
                metadata["postgres.code"] = .string(String(describing: database.code))
                metadata["postgres.sqlstate"] = .string(database.sqlState ?? "")
                metadata["postgres.message"] = .sensitive(database.serverMessage)
            } else if let registry = error as? TenantRegistryError {
                metadata["registry.error"] = .string(registry.description)
                metadata["postgres.sqlstate"] = .string(registry.cause?.sqlState ?? "")
            } else if let pools = error as? ResourcePoolError {
                metadata["pools.error"] = .string(pools.description)
                metadata["postgres.sqlstate"] = .string(pools.cause?.sqlState ?? "")
            } else if !(error is Problem) {
                metadata["error.description"] = .sensitive(String(describing: error))
            } else if !problem.detail.isEmpty {
                metadata["problem.detail"] = .string(problem.detail)
            }
            services.logger.warning("request failed", metadata: metadata)
        }
        var response = style.response(problem, requestID: requestID, typeBase: services.typeBase)
        if problem.code.status == 401 {
            response.headers[.wwwAuthenticate] = Authentication.challenge(for: request.headers)
        } else if problem.code == .insufficientScope {
            response.headers[.wwwAuthenticate] = BearerToken.insufficientScope
        }
        return response
    }

    private static func problem(noStream refusal: TenantBudget.Refusal) -> Problem {
        switch refusal {
        case .tenant: Problem(.tooManyRequests, "The tenant has as many event streams as it may.", retryAfter: 5)
        case .worker: Problem(.unavailable, "The worker has as many event streams as it may.", retryAfter: 5)
        }
    }

    private static func problem(for error: any Error) -> Problem {
        switch error {
        case let problem as Problem:
            return problem
        case let error as TenantRegistryError:
            return Problem(error)
        case let error as ResourcePoolError:
            return Problem(error)
        case let error as JSONError:
            return Problem(
                .malformedJSON, error.message, fields: [Problem.Field(pointer: error.path, detail: error.message)])
        case let error as PostgresError:
            switch error.code {
            case .deadline: return Problem(.deadlineExceeded)
            case .connection, .poolExhausted, .closed:
                return Problem(.unavailable, "A database does not answer now.", retryAfter: 1)
            default: return Problem(.internalError)
            }
        default:
            return Problem(.internalError)
        }
    }
}
