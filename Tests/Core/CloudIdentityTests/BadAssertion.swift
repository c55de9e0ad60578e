import CloudIdentity
import CloudModel
import Crypto
import Testing

/// An assertion that must be refused, and why.
struct BadAssertion: Sendable, CustomTestStringConvertible {
    let name: String
    let code: IdentityError.Code
    let text: String

    init(_ name: String, _ code: IdentityError.Code, _ text: String) {
        self.name = name
        self.code = code
        self.text = text
    }

    var testDescription: String { name }

    private typealias Shop = TokenWorkshop
    private static let now = Shop.now

    static let all: [BadAssertion] = shape + headers + algorithms + keys + signatures + parties + times + contents

    static let shape: [BadAssertion] = {
        let good = Shop.assertion()
        let parts = good.split(separator: ".").map(String.init)
        let (head, body, signature) = (parts[0], parts[1], parts[2])
        return [
            BadAssertion("nothing", .malformed, ""),
            BadAssertion("one part", .malformed, head),
            BadAssertion("two parts", .malformed, "\(head).\(body)"),
            BadAssertion("stripped signature", .malformed, "\(head).\(body)."),
            BadAssertion("four parts", .malformed, "\(good).x"),
            BadAssertion("empty header", .malformed, ".\(body).\(signature)"),
            BadAssertion("empty payload", .malformed, "\(head)..\(signature)"),
            BadAssertion("only dots", .malformed, ".."),
            BadAssertion("padded base64", .malformed, "\(head)=.\(body).\(signature)"),
            BadAssertion("base64 with plus", .malformed, "\(head).\(body)+/.\(signature)"),
            BadAssertion("white space before", .malformed, " \(good)"),
            BadAssertion("line break after", .malformed, "\(good)\n"),
            BadAssertion("space inside", .malformed, "\(head). \(body).\(signature)"),
            BadAssertion("comma joined tokens", .malformed, "\(good),\(good)"),
            BadAssertion(
                "nine kilobytes", .malformed,
                Shop.assertion(claims: ["x": "\"\(String(repeating: "a", count: 9000))\""])),
            BadAssertion("not JSON", .malformed, Shop.assertion(rawClaims: "hello")),
            BadAssertion("JSON array", .malformed, Shop.assertion(rawClaims: "[]")),
            BadAssertion("JSON string", .malformed, Shop.assertion(rawClaims: "\"x\"")),
            BadAssertion("JSON null", .malformed, Shop.assertion(rawClaims: "null")),
            BadAssertion("trailing bytes", .malformed, Shop.assertion(rawClaims: "{} {}")),
            BadAssertion("duplicate claim", .malformed, Shop.assertion(rawClaims: duplicated("exp", "\(now + 120)"))),
            BadAssertion(
                "duplicate claim by escape", .malformed, Shop.assertion(rawClaims: duplicated("\\u0065xp", "1"))),
            BadAssertion("duplicate sub", .malformed, Shop.assertion(rawClaims: duplicated("sub", "\"other\""))),
            BadAssertion("lone surrogate", .malformed, Shop.assertion(claims: ["x": "\"\\ud800\""])),
            BadAssertion("NUL in a claim", .malformed, Shop.assertion(claims: ["x": "\"\\u0000\""])),
            BadAssertion("deep nesting", .malformed, Shop.assertion(claims: ["x": deep(40)])),
            BadAssertion("comment in JSON", .malformed, Shop.assertion(rawClaims: "{/**/}")),
            BadAssertion("single quotes", .malformed, Shop.assertion(rawClaims: "{'iss':'client'}")),
            BadAssertion("byte order mark", .malformed, Shop.assertion(rawClaims: "\u{FEFF}{}")),
            BadAssertion("NaN", .malformed, Shop.assertion(claims: ["exp": "NaN"])),
            BadAssertion("header not JSON", .malformed, Shop.assertion(rawHeader: "alg=ES384")),
            BadAssertion("header array", .malformed, Shop.assertion(rawHeader: "[\"ES384\"]")),
        ]
    }()

    static let headers: [BadAssertion] = [
        BadAssertion(
            "duplicate alg", .malformed, Shop.assertion(rawHeader: #"{"alg":"ES384","alg":"none","kid":"es"}"#)),
        BadAssertion("duplicate kid", .malformed, Shop.assertion(rawHeader: #"{"alg":"ES384","kid":"es","kid":"es"}"#)),
        BadAssertion("crit", .malformed, Shop.assertion(header: ["crit": #"["exp"]"#])),
        BadAssertion("crit empty", .malformed, Shop.assertion(header: ["crit": "[]"])),
        BadAssertion("b64 false", .malformed, Shop.assertion(header: ["b64": "false"])),
        BadAssertion("zip", .malformed, Shop.assertion(header: ["zip": #""DEF""#])),
        BadAssertion("enc", .malformed, Shop.assertion(header: ["enc": #""A128GCM""#])),
        BadAssertion("embedded jwk", .malformed, Shop.assertion(header: ["jwk": Shop.ellipticJWK()])),
        BadAssertion(
            "embedded jwk of a stranger", .malformed,
            Shop.assertion(
                header: ["jwk": Shop.ellipticJWK(Shop.stranger.publicKey)], signer: .stranger)),
        BadAssertion("x5u", .malformed, Shop.assertion(header: ["x5u": #""https://evil.example/c""#])),
        BadAssertion("x5c", .malformed, Shop.assertion(header: ["x5c": #"["MIIB"]"#])),
        BadAssertion("no kid", .malformed, Shop.assertion(header: ["kid": nil])),
        BadAssertion("empty kid", .malformed, Shop.assertion(header: ["kid": #""""#])),
        BadAssertion("number kid", .malformed, Shop.assertion(header: ["kid": "1"])),
        BadAssertion("array kid", .malformed, Shop.assertion(header: ["kid": #"["es"]"#])),
        BadAssertion("typ of an access token", .malformed, Shop.assertion(header: ["typ": #""at+jwt""#])),
        BadAssertion("typ number", .malformed, Shop.assertion(header: ["typ": "1"])),
        BadAssertion("jku that is not text", .malformed, Shop.assertion(header: ["jku": "[]"])),
        BadAssertion("jku foreign", .key, Shop.assertion(header: ["jku": #""https://evil.example/jwks""#])),
        BadAssertion(
            "jku foreign with a stranger's key", .key,
            Shop.assertion(
                header: ["jku": #""https://evil.example/jwks""#], signer: .stranger)),
        BadAssertion("jku empty", .key, Shop.assertion(header: ["jku": #""""#])),
        BadAssertion("jku file", .key, Shop.assertion(header: ["jku": #""file:///etc/passwd""#])),
    ]

    static let algorithms: [BadAssertion] = {
        let publicKey = Array(Shop.ellipticJWK().utf8)
        let pem = Array(Shop.elliptic.publicKey.pemRepresentation.utf8)
        var list = [
            BadAssertion("alg missing", .algorithm, Shop.assertion(header: ["alg": nil])),
            BadAssertion("alg number", .algorithm, Shop.assertion(header: ["alg": "384"])),
            BadAssertion("alg null", .algorithm, Shop.assertion(header: ["alg": "null"])),
            BadAssertion("alg array", .algorithm, Shop.assertion(header: ["alg": #"["ES384"]"#])),
            BadAssertion(
                "alg none without signature", .malformed, Shop.assertion(header: ["alg": #""none""#], signer: .none)),
            BadAssertion(
                "HS256 with the public key", .algorithm,
                Shop.assertion(
                    header: ["alg": #""HS256""#], signer: .hmac(publicKey))),
            BadAssertion(
                "HS384 with the public key", .algorithm,
                Shop.assertion(
                    header: ["alg": #""HS384""#], signer: .hmac(publicKey))),
            BadAssertion(
                "HS384 with the PEM", .algorithm,
                Shop.assertion(
                    header: ["alg": #""HS384""#], signer: .hmac(pem))),
            BadAssertion(
                "HS512 with an empty key", .algorithm,
                Shop.assertion(
                    header: ["alg": #""HS512""#], signer: .hmac([]))),
            BadAssertion("RS384 named over the EC key", .key, Shop.assertion(header: ["alg": #""RS384""#])),
            BadAssertion(
                "ES384 named over the RSA key", .key,
                Shop.assertion(
                    header: ["alg": #""ES384""#, "kid": #""rs""#], signer: .rsa)),
            BadAssertion("RS384 with the EC key's kid", .key, Shop.assertion(header: ["kid": #""es""#], signer: .rsa)),
            BadAssertion(
                "PS384 signature named RS384", .signature,
                Shop.assertion(
                    header: ["alg": #""RS384""#, "kid": #""rs""#], signer: .pss)),
            BadAssertion("P-256 signature named ES384", .signature, Shop.assertion(signer: .p256)),
        ]
        for name in [
            "none", "None", "NONE", "nOnE", "es384", "ES384 ", "RS256", "RS512", "ES256", "ES512", "ES256K",
            "PS256", "PS384", "PS512", "EdDSA", "A256GCMKW", "",
        ] {
            list.append(BadAssertion("alg \"\(name)\"", .algorithm, Shop.assertion(header: ["alg": "\"\(name)\""])))
        }
        return list
    }()

    static let keys: [BadAssertion] = [
        BadAssertion("unknown kid", .key, Shop.assertion(header: ["kid": #""other""#])),
        BadAssertion("kid in other case", .key, Shop.assertion(header: ["kid": #""ES""#])),
        BadAssertion("kid with a space", .key, Shop.assertion(header: ["kid": #""es ""#])),
        BadAssertion("kid as a path", .key, Shop.assertion(header: ["kid": #""../../dev/null""#])),
        BadAssertion("kid as SQL", .key, Shop.assertion(header: ["kid": #""es' or '1'='1""#])),
        BadAssertion("another client's kid", .key, Shop.assertion(header: ["kid": #""es2""#], signer: .stranger)),
        BadAssertion("stranger's key under our kid", .signature, Shop.assertion(signer: .stranger)),
    ]

    static let signatures: [BadAssertion] = {
        let good = Shop.assertion()
        let parts = good.split(separator: ".").map(String.init)
        let other = Shop.assertion(claims: ["sub": #""client""#, "jti": #""two""#]).split(separator: ".").map(
            String.init)
        var bytes = Base64URL.decode(parts[2])!
        bytes[10] ^= 1
        let flipped = Base64URL.encode(bytes)
        let der = Base64URL.encode(
            try! Shop.elliptic.signature(
                for: SHA384.hash(data: Array("\(parts[0]).\(parts[1])".utf8))
            ).derRepresentation)
        let zeros = Base64URL.encode([UInt8](repeating: 0, count: 96))
        return [
            BadAssertion("one bit of the signature", .signature, "\(parts[0]).\(parts[1]).\(flipped)"),
            BadAssertion("payload of another assertion", .signature, "\(parts[0]).\(other[1]).\(parts[2])"),
            BadAssertion("signature of another assertion", .signature, "\(parts[0]).\(parts[1]).\(other[2])"),
            BadAssertion("DER signature", .signature, "\(parts[0]).\(parts[1]).\(der)"),
            BadAssertion("all-zero signature", .signature, "\(parts[0]).\(parts[1]).\(zeros)"),
            BadAssertion("half a signature", .signature, "\(parts[0]).\(parts[1]).\(parts[2].prefix(64))"),
            BadAssertion("doubled signature", .signature, "\(parts[0]).\(parts[1]).\(parts[2])\(parts[2])"),
            BadAssertion("signature of one byte", .signature, "\(parts[0]).\(parts[1]).AA"),
        ]
    }()

    static let parties: [BadAssertion] = {
        let token = Shop.audience
        var list = [
            BadAssertion("iss missing", .claim, Shop.assertion(claims: ["iss": nil])),
            BadAssertion("sub missing", .claim, Shop.assertion(claims: ["sub": nil])),
            BadAssertion("iss number", .claim, Shop.assertion(claims: ["iss": "1"])),
            BadAssertion("iss empty", .claim, Shop.assertion(claims: ["iss": #""""#])),
            BadAssertion(
                "iss too long", .claim, Shop.assertion(claims: ["iss": "\"\(String(repeating: "c", count: 65))\""])),
            BadAssertion("iss with a control character", .claim, Shop.assertion(claims: ["iss": #""cl\nient""#])),
            BadAssertion("iss is not sub", .issuer, Shop.assertion(claims: ["sub": #""other""#])),
            BadAssertion("sub is not iss", .issuer, Shop.assertion(claims: ["iss": #""other""#])),
            BadAssertion(
                "iss and aud swapped", .claim,
                Shop.assertion(
                    claims: ["iss": "\"\(token)/\(String(repeating: "x", count: 64))\"", "aud": #""client""#])),
            BadAssertion("aud missing", .audience, Shop.assertion(claims: ["aud": nil])),
            BadAssertion("aud null", .audience, Shop.assertion(claims: ["aud": "null"])),
            BadAssertion("aud number", .audience, Shop.assertion(claims: ["aud": "1"])),
            BadAssertion("aud empty array", .audience, Shop.assertion(claims: ["aud": "[]"])),
            BadAssertion(
                "aud of two", .audience, Shop.assertion(claims: ["aud": "[\"\(token)\",\"https://evil.example\"]"])),
            BadAssertion("aud nested", .audience, Shop.assertion(claims: ["aud": "[[\"\(token)\"]]"])),
        ]
        let audiences = [
            "https://cloud.example", "https://cloud.example/t/h1", "https://cloud.example/t/h1/fhir",
            "https://cloud.example/t/h1/oauth2", "\(token)/", "\(token)?x=1", "\(token)#",
            "https://cloud.example/t/h2/oauth2/token",
            "https://cloud.example/region/oauth2/token", "http://cloud.example/t/h1/oauth2/token",
            "https://CLOUD.example/t/h1/oauth2/token", "https://cloud.example:443/t/h1/oauth2/token",
            "https://cloud.example.evil.example/t/h1/oauth2/token", "https://cloud.example/t/h\u{0131}/oauth2/token",
            "https://cloud.example/t/H1/oauth2/token", "https://cloud.example/t/%68%31/oauth2/token",
        ]
        for audience in audiences {
            list.append(BadAssertion("aud \(audience)", .audience, Shop.assertion(claims: ["aud": "\"\(audience)\""])))
        }
        return list
    }()

    static let times: [BadAssertion] = [
        BadAssertion("exp missing", .claim, Shop.assertion(claims: ["exp": nil])),
        BadAssertion("exp text", .claim, Shop.assertion(claims: ["exp": "\"\(now + 60)\""])),
        BadAssertion("exp with a fraction", .claim, Shop.assertion(claims: ["exp": "\(now + 60).5"])),
        BadAssertion("exp with an exponent", .claim, Shop.assertion(claims: ["exp": "18e8"])),
        BadAssertion("exp negative", .claim, Shop.assertion(claims: ["exp": "-1"])),
        BadAssertion("exp zero", .time, Shop.assertion(claims: ["exp": "0"])),
        BadAssertion("exp huge", .claim, Shop.assertion(claims: ["exp": "99999999999999999999"])),
        BadAssertion("exp null", .claim, Shop.assertion(claims: ["exp": "null"])),
        BadAssertion("expired by the leeway", .time, Shop.assertion(claims: ["exp": "\(now - 5)"])),
        BadAssertion("expired by an hour", .time, Shop.assertion(claims: ["exp": "\(now - 3600)"])),
        BadAssertion("306 seconds ahead", .time, Shop.assertion(claims: ["exp": "\(now + 306)"])),
        BadAssertion("a day ahead", .time, Shop.assertion(claims: ["exp": "\(now + 86_400)"])),
        BadAssertion("exp in milliseconds", .time, Shop.assertion(claims: ["exp": "\((now + 60) * 1000)"])),
        BadAssertion("nbf in the future", .time, Shop.assertion(claims: ["nbf": "\(now + 6)"])),
        BadAssertion("iat in the future", .time, Shop.assertion(claims: ["iat": "\(now + 6)"])),
        BadAssertion("nbf text", .claim, Shop.assertion(claims: ["nbf": #""0""#])),
        BadAssertion("iat true", .claim, Shop.assertion(claims: ["iat": "true"])),
    ]

    static let contents: [BadAssertion] = [
        BadAssertion("jti missing", .claim, Shop.assertion(claims: ["jti": nil])),
        BadAssertion("jti empty", .claim, Shop.assertion(claims: ["jti": #""""#])),
        BadAssertion("jti number", .claim, Shop.assertion(claims: ["jti": "7"])),
        BadAssertion(
            "jti of 600 bytes", .claim, Shop.assertion(claims: ["jti": "\"\(String(repeating: "j", count: 600))\""])),
        BadAssertion("extensions text", .claim, Shop.assertion(claims: ["extensions": #""x""#])),
        BadAssertion(
            "extension of version 2", .claim,
            Shop.assertion(
                claims: ["extensions": #"{"hl7-b2b":{"version":"2"}}"#])),
        BadAssertion(
            "extension without version", .claim,
            Shop.assertion(
                claims: ["extensions": #"{"hl7-b2b":{"subject_id":"a"}}"#])),
        BadAssertion("extension array", .claim, Shop.assertion(claims: ["extensions": #"{"hl7-b2b":[]}"#])),
        BadAssertion("practitioner with a space", .claim, Shop.assertion(claims: extended(#""subject_id":"a b""#))),
        BadAssertion("practitioner with markup", .claim, Shop.assertion(claims: extended(#""subject_id":"<b>""#))),
        BadAssertion("practitioner empty", .claim, Shop.assertion(claims: extended(#""subject_id":"""#))),
        BadAssertion("practitioner number", .claim, Shop.assertion(claims: extended(#""subject_id":7"#))),
        BadAssertion(
            "practitioner of 129 bytes", .claim,
            Shop.assertion(
                claims: extended("\"subject_id\":\"\(String(repeating: "p", count: 129))\""))),
        BadAssertion("a patient", .claim, Shop.assertion(claims: extended(#""subject_id":"Patient/1""#))),
        BadAssertion("a device", .claim, Shop.assertion(claims: extended(#""subject_id":"https://h/fhir/Device/9""#))),
        BadAssertion("a type alone", .claim, Shop.assertion(claims: extended(#""subject_id":"Practitioner/""#))),
        BadAssertion(
            "a version", .claim, Shop.assertion(claims: extended(#""subject_id":"Practitioner/1/_history/2""#))),
        BadAssertion("organization number", .claim, Shop.assertion(claims: extended(#""organization_id":7"#))),
        BadAssertion("organization empty", .claim, Shop.assertion(claims: extended(#""organization_id":"""#))),
        BadAssertion("purpose in lower case", .claim, Shop.assertion(claims: extended(#""purpose_of_use":["treat"]"#))),
        BadAssertion("two purposes", .claim, Shop.assertion(claims: extended(#""purpose_of_use":["TREAT","ETREAT"]"#))),
        BadAssertion("no purpose", .claim, Shop.assertion(claims: extended(#""purpose_of_use":[]"#))),
        BadAssertion("purpose object", .claim, Shop.assertion(claims: extended(#""purpose_of_use":{"code":"TREAT"}"#))),
    ]

    private static func extended(_ members: String) -> [String: String?] {
        ["extensions": "{\"hl7-b2b\":{\"version\":\"1\",\(members)}}"]
    }

    private static func duplicated(_ name: String, _ value: String) -> String {
        """
        {"iss":"client","sub":"client","aud":"\(Shop.audience)","exp":\(now + 120),"jti":"one","\(name)":\(value)}
        """
    }

    private static func deep(_ depth: Int) -> String {
        String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
}
