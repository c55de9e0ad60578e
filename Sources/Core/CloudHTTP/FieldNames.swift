package import HTTPTypes

// Names that swift-http-types does not define and this product uses. `HTTPField.Name` has no unchecked initialiser for
// custom names, so each falls back to a standard name that no caller sends; `FieldNamesTests` proves none does.
extension HTTPField.Name {
    /// A name of ours: lower-case letters and hyphens, hence always valid.
    private static func named(_ name: String) -> HTTPField.Name {
        HTTPField.Name(name) ?? .trailer
    }

    /// The id of one request, chosen by the client or by the gateway; echoed and audited.
    package static let requestID = named("X-Request-Id")
    /// draft-ietf-httpapi-idempotency-key-header.
    package static let idempotencyKey = named("Idempotency-Key")
    /// RFC 7240.
    package static let prefer = named("Prefer")
    /// RFC 7240.
    package static let preferenceApplied = named("Preference-Applied")
    /// FHIR R4 conditional create.
    package static let ifNoneExist = named("If-None-Exist")
    /// HTML standard §9.2: the last event that a client of an event stream has.
    package static let lastEventID = named("Last-Event-ID")
    /// WHATWG: how a page may embed the answer.
    package static let frameOptions = named("X-Frame-Options")
    /// The referrer a browser may send on from our pages.
    package static let referrerPolicy = named("Referrer-Policy")
}
