package import CloudIdentity
package import CloudModel
package import NIOCore
package import TenantRegistry

/// A read by id that is answered on the connection's own event loop: no task, no thread hop.
///
/// The gateway asks only for `GET TYPE/ID` without query, body, conditions or a wish for another format than JSON, for a
/// token it has verified before and a tenant database that is open. It has checked the tenant and the concurrency budget;
/// the scope is the module's to check, because only it knows what a type name means.
package protocol HotRead: Sendable {
    /// Begins a read, or returns false when this request must take the ordinary way (an unknown type, a scope that needs a
    /// closer look, too many reads under way); nothing has happened then.
    ///
    /// Called on `eventLoop`. The answer includes refusals (404, 410) with their OperationOutcome, and comes only once the
    /// read's audit event is committed. To a failure the gateway answers 503.
    ///
    /// - Parameter completion: called once, on `eventLoop`, after this has returned.
    func read(
        _ request: HotReadRequest, in database: TenantDatabase, on eventLoop: any EventLoop,
        completion: @escaping (Result<HotReadAnswer, any Error>) -> Void
    ) -> Bool
}

/// How a hot read ends.
package enum HotReadAnswer: Sendable {
    /// The current version, which the gateway writes without making header fields of it first.
    case resource(HotResource)
    case other(ModuleResponse)
}

/// A resource's current version.
package struct HotResource: Sendable {
    /// Its entity tag is `W/"version"`.
    package let version: Int32
    /// Microseconds since 1970.
    package let lastUpdated: Int64
    package let mediaType: String
    package let body: ByteBuffer

    package init(version: Int32, lastUpdated: Int64, mediaType: String, body: ByteBuffer) {
        self.version = version
        self.lastUpdated = lastUpdated
        self.mediaType = mediaType
        self.body = body
    }
}

/// What a hot read is asked for.
package struct HotReadRequest: Sendable {
    package let type: String
    package let id: String
    package let access: TenantAccess
    package let principal: Principal
    package let requestID: String
    /// The client's network address without the port, for the audit event.
    package let remoteAddress: String

    package init(
        type: String, id: String, access: TenantAccess, principal: Principal, requestID: String,
        remoteAddress: String
    ) {
        self.type = type
        self.id = id
        self.access = access
        self.principal = principal
        self.requestID = requestID
        self.remoteAddress = remoteAddress
    }
}
