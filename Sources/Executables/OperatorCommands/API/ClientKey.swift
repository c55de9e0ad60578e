package import Crypto
import Foundation

/// An ES384 key pair of an OAuth client. The private half leaves this process only into a file of mode 0600.
package struct ClientKey: Codable, Sendable, Equatable {
    /// Names the key among the client's keys.
    package let keyID: String
    /// PKCS#8 PEM.
    package let privateKey: String

    package static func generate() -> ClientKey {
        let key = P384.Signing.PrivateKey()
        let digest = SHA256.hash(data: key.publicKey.x963Representation)
        let name = digest.prefix(8).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        return ClientKey(keyID: name, privateKey: key.pemRepresentation)
    }

    package func signingKey() throws -> P384.Signing.PrivateKey {
        do {
            return try P384.Signing.PrivateKey(pemRepresentation: privateKey)
        } catch {
            throw CommandFailure(.failed, "The key \(keyID) cannot be read: it should be an ES384 key in PEM form.")
        }
    }

    /// The public half as a JSON Web Key (RFC 7517, RFC 7518 §6.2).
    package func publicJWK() throws -> JSONValue {
        let point = Array(try signingKey().publicKey.rawRepresentation)
        return .object([
            "kty": .string("EC"), "crv": .string("P-384"), "alg": .string("ES384"), "use": .string("sig"),
            "kid": .string(keyID),
            "x": .string(Base64URL.text(point[..<48])), "y": .string(Base64URL.text(point[48...])),
            "key_ops": .array([.string("verify")]),
        ])
    }
}

/// base64url without padding (RFC 4648 §5).
package enum Base64URL {
    package static func text(_ bytes: some Sequence<UInt8>) -> String {
        Data(bytes).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
