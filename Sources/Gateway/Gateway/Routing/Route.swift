package import HTTPTypes
package import ModuleKit

/// Who may call a route of the gateway itself.
package enum RouteAudience: Sendable, Hashable {
    /// Anyone; no credential is looked at.
    case everyone
    /// Anyone with a good token of this region; the handler decides whether it is enough.
    case anyPrincipal
    /// An operator, or anyone on this machine who does not come through a proxy: for scrapers of metrics.
    case operatorOrLoopback
}

/// One operation of the gateway itself, or of a module as the API description knows it.
package struct Route: Sendable {
    package typealias Handler = @Sendable (GatewayRequest) async throws -> ModuleResponse

    package let method: HTTPRequest.Method
    package let pattern: RoutePattern
    /// The OpenAPI `operationId`.
    package let operationID: String
    package let audience: RouteAudience
    /// Names the query may have; nil leaves the query to the handler.
    package let queryNames: Set<String>?
    /// Longest body in bytes.
    package let bodyLimit: Int
    /// Whether pages of registered origins may call it (CORS).
    package let isCrossOrigin: Bool
    package let handler: Handler

    package init(
        _ method: HTTPRequest.Method, _ pattern: String, _ operationID: String, audience: RouteAudience = .everyone,
        queryNames: Set<String>? = [], bodyLimit: Int = 0, isCrossOrigin: Bool = false, handler: @escaping Handler
    ) {
        self.method = method
        self.pattern = RoutePattern(pattern)
        self.operationID = operationID
        self.audience = audience
        self.queryNames = queryNames
        self.bodyLimit = bodyLimit
        self.isCrossOrigin = isCrossOrigin
        self.handler = handler
    }
}
