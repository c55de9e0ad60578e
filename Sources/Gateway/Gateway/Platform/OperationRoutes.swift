package import ApplicationRegistry
import CloudHTTP
import CloudIdentity
import CloudModel
import Coordination
import HTTPTypes
import ModuleKit
import StrictJSON
import TenantRegistry

/// `/v1/operations…`: what was asked for, how far it is, and its end.
package struct OperationRoutes: Sendable {
    private static let defaultPage = 50
    private static let largestPage = 200

    private let operations: OperationAdministration
    private let feed: OperationFeed
    private let authentication: Authentication
    private let writes: IdempotentWrites

    package init(
        operations: OperationAdministration, feed: OperationFeed, tokens: any TokenChecking, ledger: IdempotencyLedger
    ) {
        self.operations = operations
        self.feed = feed
        authentication = Authentication(tokens: tokens)
        writes = IdempotentWrites(ledger: ledger)
    }

    package var routes: [Route] {
        [
            Route(
                .get, "/v1/operations", "listOperations", audience: .anyPrincipal,
                queryNames: ["tenant", "phase", "kind", "parent", "cursor", "limit"], handler: listOperations),
            Route(
                .get, "/v1/operations/{operation}", "showOperation", audience: .anyPrincipal, handler: showOperation),
            Route(
                .get, "/v1/operations/{operation}/events", "watchOperation", audience: .anyPrincipal,
                handler: watchOperation),
            Route(
                .post, "/v1/operations/{operation}/cancel", "cancelOperation", audience: .anyPrincipal,
                handler: cancelOperation),
        ]
    }

    @Sendable private func listOperations(_ request: GatewayRequest) async throws -> ModuleResponse {
        let caller = try request.caller
        let question = try Question(request.query)
        let page = try await operations.operations(
            question.filter, before: question.before, limit: question.limit, as: caller)
        return .json(.ok) { writer in
            writer.object { body in
                body.arrayMember("items") { items in
                    for operation in page.items { operation.write(to: &items) }
                }
                if let next = page.next { body.member("next", question.next(before: next)) }
            }
        }
    }

    @Sendable private func showOperation(_ request: GatewayRequest) async throws -> ModuleResponse {
        let operation = try await operations.operation(
            try request.identifier("operation"), as: try request.caller)
        return .json(.ok) { operation.write(to: &$0) }
    }

    @Sendable private func watchOperation(_ request: GatewayRequest) async throws -> ModuleResponse {
        let operation = try await operations.operation(
            try request.identifier("operation"), as: try request.caller)
        var after: Int32 = 0
        if let text = request.headers[.lastEventID] {
            guard let number = Int32(text), number >= 0 else {
                throw Problem(
                    .invalidInput, "Last-Event-ID must be the id of an event of this stream.",
                    fields: [Problem.Field(pointer: "header:Last-Event-ID", detail: "not an id of this stream")])
            }
            after = number
        }
        let authentication = authentication
        let headers = request.headers
        let events = OperationEventStream(operation, after: after, feed: feed, operations: operations) {
            (try? await authentication.principal(of: headers)) != nil
        }
        var response = ModuleResponse(status: .ok, headers: [.contentType: "text/event-stream"])
        response.stream = ResponseStream { try await events.next() }
        return response
    }

    @Sendable private func cancelOperation(_ request: GatewayRequest) async throws -> ModuleResponse {
        let id = try request.identifier("operation")
        let caller = try request.caller
        return try await writes.run("POST /v1/operations/\(id)/cancel", request) {
            do {
                return .accepted(try await operations.cancel(id, as: caller))
            } catch let error as TenantRegistryError where error.code == .conflict {
                throw Problem(.tooLate, error.message)
            }
        }
    }

    /// What a list is asked for.
    private struct Question {
        let filter: OperationAdministration.Filter
        let before: Int64?
        let limit: Int
        private let query: HTTPQuery

        init(_ query: HTTPQuery) throws(Problem) {
            self.query = query
            let names = Set(query.parameters.map(\.name))
            for name in names where query.only(name) == nil {
                throw Self.problem(name, "given more than once")
            }
            var filter = OperationAdministration.Filter()
            if let text = query.first("tenant") {
                guard let tenant = TenantID(text) else { throw Self.problem("tenant", "not the name of a tenant") }
                filter.tenant = tenant
            }
            if let text = query.first("phase") {
                guard let phase = OperationStatus.Phase(rawValue: text) else {
                    let known = OperationStatus.Phase.allCases.map(\.rawValue).joined(separator: ", ")
                    throw Self.problem("phase", "must be one of \(known)")
                }
                filter.phase = phase
            }
            if let text = query.first("kind") {
                let isKind =
                    (1...60).contains(text.utf8.count)
                    && text.utf8.allSatisfy { byte in
                        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || byte == UInt8(ascii: ".")
                            || byte == UInt8(ascii: "-")
                    }
                guard isKind else { throw Self.problem("kind", "must be like tenant.create") }
                filter.kind = text
            }
            if let text = query.first("parent") {
                guard GatewayRequest.isUUID(text) else { throw Self.problem("parent", "not the id of an operation") }
                filter.parent = text
            }
            if let text = query.first("cursor") {
                guard let before = Int64(text), before > 0 else {
                    throw Self.problem("cursor", "not a cursor of this list")
                }
                self.before = before
            } else {
                before = nil
            }
            if let text = query.first("limit") {
                guard let limit = Int(text), (1...OperationRoutes.largestPage).contains(limit) else {
                    throw Self.problem("limit", "must be from 1 to \(OperationRoutes.largestPage)")
                }
                self.limit = limit
            } else {
                limit = OperationRoutes.defaultPage
            }
            self.filter = filter
        }

        /// The address of the next page.
        func next(before: Int64) -> String {
            var parameters = query.parameters.filter { $0.name != "cursor" }
            parameters.append(HTTPQuery.Parameter(name: "cursor", value: String(before)))
            return "/v1/operations?" + HTTPQuery(parameters).text
        }

        private static func problem(_ name: String, _ detail: String) -> Problem {
            Problem(
                .invalidInput, "The parameter \(name) is wrong: \(detail).",
                fields: [Problem.Field(pointer: "query:" + name, detail: detail)])
        }
    }
}
