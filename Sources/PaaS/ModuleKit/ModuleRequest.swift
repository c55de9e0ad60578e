package import HTTPTypes
package import NIOCore

/// A request that has passed the gateway: authenticated, within limits, its tenant known.
package struct ModuleRequest: Sendable {
    package let method: HTTPRequest.Method
    /// Decoded segments after the module's mount: `["Patient", "7"]`. Never empty strings, `.` or `..`.
    package let path: [String]
    /// What follows `?`, undecoded; "" when there is nothing.
    package let query: String
    package let headers: HTTPFields
    package let body: ByteBuffer
    package let context: RequestContext

    package init(
        method: HTTPRequest.Method, path: [String], query: String = "", headers: HTTPFields = [:],
        body: ByteBuffer = ByteBuffer(), context: RequestContext
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.context = context
    }
}

/// A request to the region's FHIR base that has passed the gateway: a client of the region, within limits.
package struct RegionRequest: Sendable {
    package let method: HTTPRequest.Method
    /// Decoded segments after `/region/fhir`. Never empty strings, `.` or `..`.
    package let path: [String]
    /// What follows `?`, undecoded; "" when there is nothing.
    package let query: String
    package let headers: HTTPFields
    package let body: ByteBuffer
    package let context: RegionContext

    package init(
        method: HTTPRequest.Method, path: [String], query: String = "", headers: HTTPFields = [:],
        body: ByteBuffer = ByteBuffer(), context: RegionContext
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.context = context
    }
}

/// A request to one of a module's public routes: no credential was looked at, so there is no access to any database.
package struct PublicRequest: Sendable {
    package let method: HTTPRequest.Method
    /// Decoded segments after the module's mount.
    package let path: [String]
    package let query: String
    package let headers: HTTPFields
    package let requestID: String
    /// The absolute URL of the FHIR base, the tenant's or the region's, without a trailing slash.
    package let fhirBase: String

    package init(
        method: HTTPRequest.Method, path: [String], query: String = "", headers: HTTPFields = [:], requestID: String,
        fhirBase: String
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.requestID = requestID
        self.fhirBase = fhirBase
    }
}

/// What a module answers. The gateway adds the request id, security and CORS headers and the content length, and drops
/// the body of an answer to HEAD.
package struct ModuleResponse: Sendable {
    package var status: HTTPResponse.Status
    package var headers: HTTPFields
    package var body: ByteBuffer
    /// In place of ``body``, for an answer that goes on after it has begun.
    package var stream: ResponseStream?

    package init(status: HTTPResponse.Status, headers: HTTPFields = [:], body: ByteBuffer = ByteBuffer()) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// A body that is made while it is sent. The gateway asks for the next piece when the client has taken the one before, and
/// cancels what it waits for when the client goes, the worker drains or the answer has lasted long enough.
package struct ResponseStream: Sendable {
    /// The next piece; nil is the end. Called one at a time; an error cuts the connection.
    package let next: @Sendable () async throws -> ByteBuffer?

    package init(next: @escaping @Sendable () async throws -> ByteBuffer?) {
        self.next = next
    }
}
