import StrictJSON
import TenantRegistry

/// A request to an authorization server, as far as it matters. Knows no HTTP framework.
package struct OAuthRequest: Sendable {
    package let body: [UInt8]
    package let contentType: String?
    /// Whether there was an `Authorization` header; private_key_jwt has none.
    package let hasAuthorization: Bool

    package init(body: [UInt8], contentType: String?, hasAuthorization: Bool = false) {
        self.body = body
        self.contentType = contentType
        self.hasAuthorization = hasAuthorization
    }
}

/// An authorization server's answer: JSON, or nothing.
package struct OAuthResponse: Sendable {
    package let status: Int
    package let headers: [(name: String, value: String)]
    package let body: [UInt8]

    /// An answer that nobody may store.
    static func json(status: Int = 200, headers: [(String, String)] = [], _ body: (inout JSONWriter) -> Void) -> Self {
        var writer = JSONWriter()
        writer.object(body)
        return OAuthResponse(
            status: status,
            headers: [
                ("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Pragma", "no-cache"),
            ] + headers, body: writer.bytes)
    }

    /// A public document.
    static func document(_ body: (inout JSONWriter) -> Void) -> Self {
        var writer = JSONWriter()
        writer.object(body)
        return OAuthResponse(
            status: 200,
            headers: [("Content-Type", "application/json"), ("Cache-Control", "public, max-age=60")],
            body: writer.bytes)
    }
}

/// An error as RFC 6749 §5.2 says it.
package struct OAuthError: Error, Sendable {
    package enum Code: String, Sendable {
        case invalidRequest = "invalid_request"
        case invalidClient = "invalid_client"
        case invalidScope = "invalid_scope"
        case unsupportedGrantType = "unsupported_grant_type"
        case unauthorizedClient = "unauthorized_client"
        case temporarilyUnavailable = "temporarily_unavailable"
        case notFound = "not_found"
    }

    package let code: Code
    /// For the client's developer. ASCII without quotes or backslashes, as the RFC wants it.
    package let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    /// The control database refused or is away.
    init(_ error: TenantRegistryError) {
        switch error.code {
        case .unknownTenant: self.init(.notFound, "no such authorization server")
        default: self.init(.temporarilyUnavailable, "try again later")
        }
    }

    var response: OAuthResponse {
        let status: Int
        var headers: [(String, String)] = []
        switch code {
        case .invalidRequest, .invalidScope, .unsupportedGrantType, .unauthorizedClient: status = 400
        case .invalidClient: status = 401
        case .notFound: status = 404
        case .temporarilyUnavailable:
            status = 503
            headers.append(("Retry-After", "1"))
        }
        return .json(status: status, headers: headers) {
            $0.member("error", code.rawValue)
            $0.member("error_description", description)
        }
    }
}
