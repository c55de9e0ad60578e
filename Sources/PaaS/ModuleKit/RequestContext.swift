package import CloudIdentity
package import CloudModel
package import Logging
package import NIOCore

/// Who asks, for which tenant, until when. The gateway makes it once a request has passed authentication, so no module
/// looks any of it up again.
package struct RequestContext: Sendable {
    /// The request's id: in the answer's `X-Request-Id`, in every log line and in the audit event.
    package let requestID: String
    /// The right to the tenant's database, minted by the token verifier.
    package let access: TenantAccess
    package let principal: Principal
    /// The absolute URL of the tenant's FHIR base, without a trailing slash.
    package let fhirBase: String
    /// The client's network address without the port, for the audit event.
    package let remoteAddress: String
    /// When the gateway gives up on the answer; statements take it as their deadline.
    package let deadline: NIODeadline
    /// Carries the request's and the tenant's id.
    package let logger: Logger

    package init(
        requestID: String, access: TenantAccess, principal: Principal, fhirBase: String, remoteAddress: String,
        deadline: NIODeadline, logger: Logger
    ) {
        self.requestID = requestID
        self.access = access
        self.principal = principal
        self.fhirBase = fhirBase
        self.remoteAddress = remoteAddress
        self.deadline = deadline
        self.logger = logger
    }
}

/// Who asks the region, until when.
package struct RegionContext: Sendable {
    /// The request's id: in the answer's `X-Request-Id`, in every log line and in the audit events.
    package let requestID: String
    package let principal: Principal
    /// The tenant that the client acts for.
    package let institution: TenantID
    /// The absolute URL of the region's FHIR base, without a trailing slash.
    package let fhirBase: String
    /// The client's network address without the port, for the audit events.
    package let remoteAddress: String
    /// When the gateway gives up on the answer.
    package let deadline: NIODeadline
    /// Carries the request's and the institution's id.
    package let logger: Logger

    package init(
        requestID: String, principal: Principal, institution: TenantID, fhirBase: String, remoteAddress: String,
        deadline: NIODeadline, logger: Logger
    ) {
        self.requestID = requestID
        self.principal = principal
        self.institution = institution
        self.fhirBase = fhirBase
        self.remoteAddress = remoteAddress
        self.deadline = deadline
        self.logger = logger
    }
}
