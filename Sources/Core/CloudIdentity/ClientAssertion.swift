import StrictJSON

/// What a client says of itself when it asks for a token: `private_key_jwt` by the rules of SMART App Launch 2.2,
/// "client-confidential-asymmetric".
///
/// Beyond them it may name a practitioner and a purpose, in the extension object that UDAP and IHE IUA use:
/// ```
/// "extensions": { "hl7-b2b": { "version": "1", "subject_id": "Practitioner/17", "purpose_of_use": ["TREAT"] } }
/// ```
/// The practitioner is named by an identifier (`1234567893`, `urn:oid:1.2.3|17`) or by a reference to a Practitioner or a
/// PractitionerRole, relative or absolute. A slash without a `|` makes a reference.
package struct ClientAssertion: Sendable {
    /// An assertion may be valid for no longer than this.
    package static let maximumLifetime: Int64 = 300
    /// How far the client's clock may differ from ours.
    package static let leeway: Int64 = 5
    /// `client_assertion_type` of the form.
    package static let formType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

    package let clientID: String
    /// `jti`
    package let tokenID: String
    /// Seconds since 1970.
    package let expiresAt: Int64
    package let practitioner: String?
    package let purposeOfUse: String?
    /// `organization_id`: whom the client says that it acts for. Which institution that is, the registration says.
    package let organization: String?
    private let token: CompactToken

    /// Checks everything that needs neither the client's keys nor memory of earlier assertions.
    ///
    /// - Parameters:
    ///   - audience: the token endpoint's address, compared exactly.
    ///   - now: seconds since 1970.
    /// - Throws: ``IdentityError``.
    package init(_ text: String, audience: String, now: Int64) throws(IdentityError) {
        let token = try CompactToken(text)
        if let type = token.type, type.uppercased() != "JWT" { throw IdentityError(.malformed, "typ must be JWT") }
        let issuer = try token.requiredText("iss", limit: 64)
        guard try token.requiredText("sub", limit: 64) == issuer else {
            throw IdentityError(.issuer, "iss and sub must both be the client id")
        }
        guard token.isFor(audience) else { throw IdentityError(.audience, "aud must be the token endpoint") }
        guard let expiry = try token.optionalTime("exp") else { throw IdentityError(.claim, "claim exp is missing") }
        guard expiry > now - Self.leeway else { throw IdentityError(.time, "the assertion has expired") }
        guard expiry <= now + Self.maximumLifetime + Self.leeway else {
            throw IdentityError(.time, "exp is more than 300 seconds ahead")
        }
        for name in ["nbf", "iat"] {
            if let time = try token.optionalTime(name), time > now + Self.leeway {
                throw IdentityError(.time, "\(name) lies in the future")
            }
        }
        clientID = issuer
        tokenID = try token.requiredText("jti")
        expiresAt = expiry
        (practitioner, purposeOfUse, organization) = try Self.onBehalf(token.claims)
        self.token = token
    }

    /// Checks the signature with the client's registered keys.
    ///
    /// - Parameter keySetURL: the registered `jwks_uri`, the only `jku` that may be named.
    package func verify(keys: JSONWebKeySet, keySetURL: String?) throws(IdentityError) {
        if let named = token.keySetURL, named != keySetURL {
            throw IdentityError(.key, "jku is not the registered one")
        }
        try token.verify(with: try keys.key(token.keyID, algorithm: token.algorithm))
    }

    /// The name of the extension object.
    static let extensionName = "hl7-b2b"

    private static func onBehalf(_ claims: JSONNode) throws(IdentityError) -> (String?, String?, String?) {
        guard let extensions = claims["extensions"] else { return (nil, nil, nil) }
        guard extensions.kind == .object else { throw IdentityError(.claim, "extensions must be an object") }
        guard let object = extensions[extensionName] else { return (nil, nil, nil) }
        guard object.kind == .object, object["version"]?.stringIs("1") == true else {
            throw IdentityError(.claim, "extensions.hl7-b2b must be an object of version \"1\"")
        }
        var practitioner: String?
        if let node = object["subject_id"] {
            guard let text = node.string, (1...128).contains(text.utf8.count), text.utf8.allSatisfy(isReferenceByte)
            else {
                throw IdentityError(.claim, "subject_id must be an identifier or reference of up to 128 bytes")
            }
            guard isOfPractitioner(text) else {
                throw IdentityError(.claim, "subject_id must be a practitioner: Practitioner/ID or an identifier")
            }
            practitioner = text
        }
        var purpose: String?
        if let node = object["purpose_of_use"] {
            let single = node.kind == .array && node.count == 1 ? node.elements.first { _ in true } : node
            let system = "urn:oid:2.16.840.1.113883.5.8#"
            guard var text = single?.string else {
                throw IdentityError(.claim, "purpose_of_use must be one code")
            }
            if text.hasPrefix(system) { text.removeFirst(system.count) }
            guard (1...32).contains(text.utf8.count), text.utf8.allSatisfy(isCodeByte) else {
                throw IdentityError(.claim, "purpose_of_use must be a code of v3 PurposeOfUse, such as TREAT")
            }
            purpose = text
        }
        var organization: String?
        if let node = object["organization_id"] {
            guard let text = node.string, (1...512).contains(text.utf8.count) else {
                throw IdentityError(.claim, "organization_id must be a URI of up to 512 bytes")
            }
            organization = text
        }
        return (practitioner, purpose, organization)
    }

    /// Whether a text is an identifier, or a reference to one of the types that practitioners have.
    private static func isOfPractitioner(_ text: String) -> Bool {
        guard text.contains("/"), !text.contains("|") else { return true }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return ["Practitioner", "PractitionerRole"].contains(parts[parts.count - 2]) && !parts[parts.count - 1].isEmpty
    }

    private static func isReferenceByte(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "-._:/|#".utf8.contains(byte)
    }

    private static func isCodeByte(_ byte: UInt8) -> Bool {
        UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte || byte == UInt8(ascii: "_")
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
