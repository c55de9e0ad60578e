import CloudIdentity
import CloudModel
import Crypto
import Testing

@Suite struct JSONWebKeyTests {
    private typealias Shop = TokenWorkshop

    @Test func `a key set and a single key are read`() throws {
        #expect(Shop.keys.keys.map(\.keyID) == ["es", "rs"])
        #expect(try JSONWebKeySet(json: Shop.ellipticJWK()).keys.count == 1)
        #expect(try JSONWebKeySet(json: Shop.keys.json).json == Shop.keys.json)
    }

    @Test(arguments: [
        #"{"keys":[]}"#, #"{"keys":{}}"#, "[]", "", #"{"kty":"oct","kid":"a","k":"AAAA"}"#,
        #"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAA"}"#,
        #"{"kty":"EC","crv":"P-256","kid":"a","x":"AAAA","y":"AAAA"}"#,
        #"{"kty":"EC","crv":"P-384","kid":"a","x":"AAAA","y":"AAAA"}"#,
        #"{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}"#,
    ])
    func `a set of unusable keys is refused`(_ json: String) {
        #expect(throws: IdentityError.self) { try JSONWebKeySet(json: json) }
    }

    @Test func `two keys of one kid are refused`() {
        let pair = "{\"keys\":[\(Shop.ellipticJWK()),\(Shop.ellipticJWK(Shop.stranger.publicKey))]}"
        #expect(throws: IdentityError.self) { try JSONWebKeySet(json: pair) }
    }

    @Test func `a set that has two keys of one kid anyway verifies nothing`() throws {
        let key = try JSONWebKey(json: Shop.ellipticJWK())
        #expect(throws: IdentityError.self) { try JSONWebKeySet([key, key]).key("es", algorithm: .es384) }
    }

    @Test func `a point that is not on the curve is refused`() {
        let x = Base64URL.encode([UInt8](repeating: 1, count: 48))
        #expect(throws: IdentityError.self) {
            try JSONWebKey(json: "{\"kty\":\"EC\",\"crv\":\"P-384\",\"kid\":\"a\",\"x\":\"\(x)\",\"y\":\"\(x)\"}")
        }
    }

    @Test(arguments: [
        #","d":"AAAA"}"#, #","use":"enc"}"#, #","alg":"RS384"}"#, #","key_ops":["sign"]}"#, #","key_ops":"verify"}"#,
    ])
    func `private, foreign and encrypting keys are refused`(_ ending: String) {
        #expect(throws: IdentityError.self) { try JSONWebKey(json: Shop.ellipticJWK().dropLast() + ending) }
    }
}
