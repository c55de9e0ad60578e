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
    /// Returns nil when this request must take the ordinary way (an unknown type, a scope that needs a closer look).
    ///
    /// Called on `eventLoop`; the future belongs to it. The answer includes refusals (403, 404, 410) with their
    /// OperationOutcome, and succeeds only once the read's audit event is committed. When the future fails the gateway
    /// answers 503.
    func read(
        _ request: HotReadRequest, in database: TenantDatabase, on eventLoop: any EventLoop
    ) -> EventLoopFuture<ModuleResponse>?
}

/// What a hot read is asked for.
package struct HotReadRequest: Sendable {
    package let type: Substring
    package let id: Substring
    package let access: TenantAccess
    package let principal: Principal
    package let requestID: String
    /// The client's network address without the port, for the audit event.
    package let remoteAddress: String

    package init(
        type: Substring, id: Substring, access: TenantAccess, principal: Principal, requestID: String,
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
