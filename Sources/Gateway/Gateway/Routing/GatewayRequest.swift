package import CloudHTTP
package import CloudIdentity
package import CloudModel
package import HTTPTypes
package import Logging
package import NIOCore

/// A request to a route of the gateway itself: authenticated as its audience asks, query and body read.
package struct GatewayRequest: Sendable {
    package let method: HTTPRequest.Method
    /// As it was asked for, each segment encoded again: `/v1/tenants/h1/clients`.
    package let path: String
    /// Values of the pattern's parameters.
    package let parameters: [String: String]
    package let query: HTTPQuery
    package let headers: HTTPFields
    package let body: ByteBuffer
    package let requestID: String
    /// The client's network address without the port.
    package let remoteAddress: String
    /// Nil on routes for everyone.
    package let principal: Principal?
    package let deadline: NIODeadline
    package let logger: Logger

    /// The tenant that the path names.
    ///
    /// - Throws: the same 404 as for a tenant that does not exist when the name cannot be one.
    package var tenant: TenantID {
        get throws(Problem) {
            guard let tenant = parameters["tenant"].flatMap({ TenantID($0) }) else { throw .nothingHere }
            return tenant
        }
    }

    /// The body as an array of bytes.
    package var bytes: [UInt8] { Array(body.readableBytesView) }
}

extension Problem {
    /// The one 404 of the edge: an unknown path, a tenant that does not exist and a tenant of others look the same.
    package static let nothingHere = Problem(.notFound)
}
