import CloudModel
import Crypto
import StrictJSON

/// A P-384 key pair that signs tokens: ours for access tokens, a client's for assertions.
package struct SigningKey: Sendable {
    private let key: P384.Signing.PrivateKey
    package let publicKey: JSONWebKey

    private init(_ key: P384.Signing.PrivateKey, keyID: String) {
        self.key = key
        publicKey = JSONWebKey(keyID: keyID, publicKey: key.publicKey)
    }

    /// A new key; its `kid` is random.
    package static func generate() -> SigningKey {
        SigningKey(P384.Signing.PrivateKey(), keyID: RandomText.make(bytes: 12))
    }

    package var keyID: String { publicKey.keyID }

    /// The secret scalar, 48 bytes, for sealed storage.
    package var secretBytes: [UInt8] { Array(key.rawRepresentation) }

    /// - Throws: ``IdentityError/Code/key`` unless the bytes are a P-384 scalar.
    package init(keyID: String, secretBytes: [UInt8]) throws(IdentityError) {
        guard let key = try? P384.Signing.PrivateKey(rawRepresentation: secretBytes) else {
            throw IdentityError(.key, "not a P-384 private key")
        }
        self.init(key, keyID: keyID)
    }

    /// The private key as a JWK. A secret: for a file with mode 0600 only.
    package var privateJSON: String {
        // The public JSON is an object of our own making; the secret member goes before its closing brace.
        publicKey.json.dropLast() + ",\"d\":\"\(Base64URL.encode(key.rawRepresentation))\"}"
    }

    /// Reads what ``privateJSON`` wrote: an EC key on P-384 with `kid` and `d`.
    ///
    /// - Throws: ``IdentityError/Code/key``.
    package init(privateJSON text: String) throws(IdentityError) {
        let node = try StrictDocument.parse(Array(text.utf8), code: .key).root
        guard node["kty"]?.stringIs("EC") == true, node["crv"]?.stringIs("P-384") == true,
            let keyID = node["kid"]?.string, let secret = node["d"]?.string.flatMap({ Base64URL.decode($0) })
        else { throw IdentityError(.key, "a private key needs kty EC, crv P-384, kid and d") }
        try self.init(keyID: keyID, secretBytes: secret)
    }

    /// A compact ES384 signature over `claims`, which must be a JSON object.
    func sign(type: String, claims: [UInt8]) throws(IdentityError) -> String {
        var header = JSONWriter()
        header.object {
            $0.member("alg", JSONWebKey.Algorithm.es384.rawValue)
            $0.member("typ", type)
            $0.member("kid", keyID)
        }
        let input = Base64URL.encode(header.bytes) + "." + Base64URL.encode(claims)
        guard let signature = try? key.signature(for: SHA384.hash(data: Array(input.utf8))) else {
            throw IdentityError(.unavailable, "signing failed")
        }
        return input + "." + Base64URL.encode(signature.rawRepresentation)
    }

    /// Signs a client assertion; see ``ClientAssertion`` for what the receiver checks.
    ///
    /// - Parameters:
    ///   - audience: the token endpoint.
    ///   - now: seconds since 1970.
    ///   - lifetime: seconds, at most ``ClientAssertion/maximumLifetime``.
    package func assertion(
        clientID: String, audience: String, now: Int64, lifetime: Int64 = 120, practitioner: String? = nil,
        purposeOfUse: String? = nil
    ) throws(IdentityError) -> String {
        var claims = JSONWriter()
        claims.object { (claims: inout JSONWriter) in
            claims.member("iss", clientID)
            claims.member("sub", clientID)
            claims.member("aud", audience)
            claims.member("iat", now)
            claims.member("exp", now + lifetime)
            claims.member("jti", RandomText.make(bytes: 16))
            guard practitioner != nil || purposeOfUse != nil else { return }
            claims.member("extensions") { (extensions: inout JSONWriter) in
                extensions.member(ClientAssertion.extensionName) { (object: inout JSONWriter) in
                    object.member("version", "1")
                    object.member("subject_id", practitioner)
                    if let purposeOfUse {
                        object.arrayMember("purpose_of_use") { $0.string(purposeOfUse) }
                    }
                }
            }
        }
        return try sign(type: "JWT", claims: claims.bytes)
    }
}

/// Random names for tokens and keys.
enum RandomText {
    /// `bytes` random bytes in base64url.
    static func make(bytes: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        return Base64URL.encode((0..<bytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }
}
