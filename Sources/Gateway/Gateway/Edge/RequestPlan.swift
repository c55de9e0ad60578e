import HTTPTypes
import ModuleKit
import NIOCore

/// What will be done for a request, decided before its body is read: who asks is known and allowed to, the path is known.
struct RequestPlan: Sendable {
    /// The route pattern, for metrics.
    let label: String
    let bodyLimit: Int
    let deadline: NIODeadline
    /// Held until the answer is written.
    var lease: TenantBudget.Lease?
    let run: @Sendable (ByteBuffer) async throws -> ModuleResponse
}

/// A request's head with what every step needs of it.
struct RequestHead: Sendable {
    let method: HTTPRequest.Method
    let path: [String]
    let query: String
    let headers: HTTPFields
    let requestID: String
    let remoteAddress: String
}
