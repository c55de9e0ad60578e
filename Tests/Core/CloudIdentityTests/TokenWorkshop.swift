import CloudIdentity
import CloudModel
import Crypto
import CryptoExtras

/// Makes tokens of every kind, good and bad, out of raw JSON fragments.
struct TokenWorkshop {
    static let now: Int64 = 1_800_000_000
    static let endpoints = IdentityEndpoints(baseURL: "https://cloud.example")
    static let tenant = TenantID("h1")!
    static let audience = endpoints.token(tenant)

    enum Signer {
        case elliptic
        case rsa
        /// A key that is not registered.
        case stranger
        /// The RSA key with PSS padding (PS384).
        case pss
        case p256
        /// HMAC with these bytes as the secret.
        case hmac([UInt8])
        case none
    }

    static let elliptic = P384.Signing.PrivateKey()
    static let stranger = P384.Signing.PrivateKey()
    static let p256 = P256.Signing.PrivateKey()
    static let rsa = try! _RSA.Signing.PrivateKey(keySize: .bits2048)

    static func ellipticJWK(_ key: P384.Signing.PublicKey = elliptic.publicKey, kid: String = "es") -> String {
        let raw = key.rawRepresentation
        return """
            {"kty":"EC","crv":"P-384","kid":"\(kid)","x":"\(Base64URL.encode(raw.prefix(48)))",\
            "y":"\(Base64URL.encode(raw.dropFirst(48)))"}
            """
    }

    static func rsaJWK(kid: String = "rs") -> String {
        let numbers = try! rsa.publicKey.getKeyPrimitives()
        return """
            {"kty":"RSA","kid":"\(kid)","n":"\(Base64URL.encode(numbers.modulus))",\
            "e":"\(Base64URL.encode(numbers.publicExponent))"}
            """
    }

    static let keys = try! JSONWebKeySet(json: "{\"keys\":[\(ellipticJWK()),\(rsaJWK())]}")

    /// JSON of an object whose members are given as raw JSON; nil leaves a member out.
    static func object(_ defaults: [(String, String)], _ changes: [String: String?]) -> String {
        var members: [String] = []
        for (name, value) in defaults {
            guard let change = changes[name] else {
                members.append("\"\(name)\":\(value)")
                continue
            }
            if let change { members.append("\"\(name)\":\(change)") }
        }
        let known = Set(defaults.map(\.0))
        for (name, value) in changes.sorted(by: { $0.key < $1.key }) where !known.contains(name) {
            if let value { members.append("\"\(name)\":\(value)") }
        }
        return "{" + members.joined(separator: ",") + "}"
    }

    static func assertion(
        header: [String: String?] = [:], claims: [String: String?] = [:], signer: Signer = .elliptic,
        rawHeader: String? = nil, rawClaims: String? = nil
    ) -> String {
        let isRSA = if case .rsa = signer { true } else { false }
        let head =
            rawHeader
            ?? object(
                [("alg", isRSA ? "\"RS384\"" : "\"ES384\""), ("typ", "\"JWT\""), ("kid", isRSA ? "\"rs\"" : "\"es\"")],
                header)
        let body =
            rawClaims
            ?? object(
                [
                    ("iss", "\"client\""), ("sub", "\"client\""), ("aud", "\"\(audience)\""),
                    ("exp", "\(now + 120)"), ("jti", "\"one\""),
                ], claims)
        return sign(head, body, signer)
    }

    static func sign(_ header: String, _ body: String, _ signer: Signer) -> String {
        let input = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(body.utf8))
        let digest = SHA384.hash(data: Array(input.utf8))
        let signature: [UInt8] =
            switch signer {
            case .elliptic: Array(try! elliptic.signature(for: digest).rawRepresentation)
            case .stranger: Array(try! stranger.signature(for: digest).rawRepresentation)
            case .rsa: Array(try! rsa.signature(for: digest, padding: .insecurePKCS1v1_5).rawRepresentation)
            case .pss: Array(try! rsa.signature(for: digest, padding: .PSS).rawRepresentation)
            case .p256: Array(try! p256.signature(for: SHA256.hash(data: Array(input.utf8))).rawRepresentation)
            case .hmac(let secret):
                Array(HMAC<SHA384>.authenticationCode(for: Array(input.utf8), using: SymmetricKey(data: secret)))
            case .none: []
            }
        return input + "." + Base64URL.encode(signature)
    }

    /// Checks an assertion as the authorization server does.
    static func check(_ text: String, keySetURL: String? = nil) throws(IdentityError) -> ClientAssertion {
        let assertion = try ClientAssertion(text, audience: audience, now: now)
        try assertion.verify(keys: keys, keySetURL: keySetURL)
        return assertion
    }
}
