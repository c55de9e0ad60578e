// The codes of the edge. A module may add its own; `docs/errors.md` lists them all and a test compares.
extension ProblemCode {
    package static let malformedRequest = ProblemCode(
        "malformed-request", status: 400, title: "The request is not valid HTTP or its path cannot be decoded.")
    package static let malformedJSON = ProblemCode(
        "malformed-json", status: 400, title: "The body is not strict JSON.")
    package static let invalidInput = ProblemCode(
        "invalid-input", status: 400, title: "A field of the input is missing or has a value that is not allowed.")
    package static let unknownParameter = ProblemCode(
        "unknown-parameter", status: 400, title: "The query has a parameter that this operation does not know.")
    package static let idempotencyKeyRequired = ProblemCode(
        "idempotency-key-required", status: 400, title: "This operation needs an Idempotency-Key header.")
    package static let unauthenticated = ProblemCode(
        "unauthenticated", status: 401, title: "A valid access token is needed.")
    package static let insufficientScope = ProblemCode(
        "insufficient-scope", status: 403, title: "The access token does not allow this operation.")
    package static let institutionRequired = ProblemCode(
        "institution-required", status: 403, title: "The region's records are for clients that act for an institution.")
    package static let purposeRequired = ProblemCode(
        "purpose-required", status: 403,
        title: "A request for a patient's records names a practitioner and a purpose in the client's assertion.")
    package static let consentRequired = ProblemCode(
        "consent-required", status: 403, title: "No consent permits this institution this purpose now.")
    package static let bureauRequired = ProblemCode(
        "bureau-required", status: 403,
        title: "Only the bureau's clients record consents and flags, and read access logs.")
    package static let originNotAllowed = ProblemCode(
        "origin-not-allowed", status: 403, title: "This origin is not registered with the tenant.")
    package static let notFound = ProblemCode("not-found", status: 404, title: "There is nothing at this address.")
    package static let methodNotAllowed = ProblemCode(
        "method-not-allowed", status: 405, title: "The address does not take this method.")
    package static let notAcceptable = ProblemCode(
        "not-acceptable", status: 406, title: "None of the accepted media types can be produced.")
    package static let requestTimeout = ProblemCode(
        "request-timeout", status: 408, title: "The request did not arrive in time.")
    package static let conflict = ProblemCode(
        "conflict", status: 409, title: "The request contradicts the present state.")
    package static let tooLate = ProblemCode(
        "too-late", status: 409, title: "The operation has ended, or has gone too far to be cancelled.")
    package static let quotaExceeded = ProblemCode(
        "quota-exceeded", status: 409, title: "The tenant's quota does not leave that much.")
    package static let cellFull = ProblemCode(
        "cell-full", status: 409, title: "The cluster for the tenant's database holds as many as it may.")
    package static let noCompute = ProblemCode(
        "no-compute", status: 409, title: "This region runs without virtual machines.")
    package static let idempotencyInProgress = ProblemCode(
        "idempotency-in-progress", status: 409, title: "A request with this Idempotency-Key is still being worked on.")
    package static let planOutdated = ProblemCode(
        "plan-outdated", status: 409, title: "The region has changed since the plan was made.")
    package static let preconditionFailed = ProblemCode(
        "precondition-failed", status: 412, title: "The resource has another version than If-Match names.")
    package static let contentTooLarge = ProblemCode(
        "content-too-large", status: 413, title: "The body is larger than this operation takes.")
    package static let uriTooLong = ProblemCode("uri-too-long", status: 414, title: "The request target is too long.")
    package static let unsupportedMediaType = ProblemCode(
        "unsupported-media-type", status: 415, title: "The operation does not take this Content-Type.")
    package static let consentRefused = ProblemCode(
        "consent-refused", status: 422, title: "The consent breaks a rule of the region.")
    package static let flagRefused = ProblemCode(
        "flag-refused", status: 422, title: "The flag breaks a rule of the region's booking blacklist.")
    package static let idempotencyMismatch = ProblemCode(
        "idempotency-mismatch", status: 422, title: "This Idempotency-Key was used with another request.")
    package static let illegalTransition = ProblemCode(
        "illegal-transition", status: 422, title: "The resource cannot go from its state to the one asked for.")
    package static let planNotAllowed = ProblemCode(
        "plan-not-allowed", status: 422, title: "The plan replaces or deletes something, which was not allowed.")
    package static let specificationRefused = ProblemCode(
        "specification-refused", status: 422,
        title: "What is asked for of the tenants cannot be done; nothing was done.")
    package static let tooManyRequests = ProblemCode(
        "too-many-requests", status: 429, title: "The tenant has used up what it may do at once.")
    package static let headerTooLarge = ProblemCode(
        "header-too-large", status: 431, title: "The request has too many or too large header fields.")
    package static let internalError = ProblemCode(
        "internal-error", status: 500, title: "The server failed; the request id leads to the reason in its log.")
    package static let notImplemented = ProblemCode(
        "not-implemented", status: 501, title: "The server does not know this method.")
    package static let unavailable = ProblemCode(
        "unavailable", status: 503, title: "Something this operation needs is away; try again.")
    package static let holderUnavailable = ProblemCode(
        "holder-unavailable", status: 503, title: "The institution that holds the record does not answer now.")
    package static let deadlineExceeded = ProblemCode(
        "deadline-exceeded", status: 504,
        title: "The request took longer than it may; it may or may not have had effect.")

    /// Every code of the edge, for the documentation test.
    package static let all: [ProblemCode] = [
        malformedRequest, malformedJSON, invalidInput, unknownParameter, idempotencyKeyRequired, unauthenticated,
        insufficientScope, institutionRequired, purposeRequired, consentRequired, bureauRequired, originNotAllowed,
        notFound, methodNotAllowed, notAcceptable, requestTimeout, conflict,
        tooLate, quotaExceeded, cellFull, noCompute, idempotencyInProgress, consentRefused, flagRefused,
        holderUnavailable,
        preconditionFailed,
        contentTooLarge,
        uriTooLong,
        unsupportedMediaType,
        idempotencyMismatch, illegalTransition, tooManyRequests, headerTooLarge, internalError, notImplemented,
        unavailable, deadlineExceeded,
        planOutdated, planNotAllowed, specificationRefused,
    ]
}
