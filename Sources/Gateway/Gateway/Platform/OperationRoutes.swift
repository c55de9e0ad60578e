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
            .list(
                "/v1/operations", "listOperations", filters: ["tenant", "phase", "kind", "parent"],
                handler: listOperations),
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
        let page = try await operations.operations(
            try Self.filter(request), try request.page(by: .number), as: try request.caller)
        return .page(page, request) { operation, items in operation.write(to: &items) }
    }

    /// Which operations are asked for.
    private static func filter(_ request: GatewayRequest) throws(Problem) -> OperationAdministration.Filter {
        var filter = OperationAdministration.Filter()
        if let text = try request.parameter("tenant") {
            guard let tenant = TenantID(text) else { throw .parameter("tenant", "not the name of a tenant") }
            filter.tenant = tenant
        }
        if let text = try request.parameter("phase") {
            guard let phase = OperationStatus.Phase(rawValue: text) else {
                let known = OperationStatus.Phase.allCases.map(\.rawValue).joined(separator: ", ")
                throw .parameter("phase", "must be one of \(known)")
            }
            filter.phase = phase
        }
        if let text = try request.parameter("kind") {
            let isKind =
                (1...60).contains(text.utf8.count)
                && text.utf8.allSatisfy { byte in
                    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || byte == UInt8(ascii: ".")
                        || byte == UInt8(ascii: "-")
                }
            guard isKind else { throw .parameter("kind", "must be like tenant.create") }
            filter.kind = text
        }
        if let text = try request.parameter("parent") {
            guard GatewayRequest.isUUID(text) else { throw .parameter("parent", "not the id of an operation") }
            filter.parent = text
        }
        return filter
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
        // A token that cannot be checked ends the stream as a bad one does; whoever watches comes back.
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
        return try await writes.begin("POST /v1/operations/\(id)/cancel", request) { key, isMade in
            do {
                if !isMade { try await operations.asked(by: key).cancel(id, as: caller) }
                return .accepted(try await operations.operation(id, as: caller))
            } catch let error as TenantRegistryError where error.code == .conflict {
                throw Problem(.tooLate, error.message)
            }
        }
    }
}
