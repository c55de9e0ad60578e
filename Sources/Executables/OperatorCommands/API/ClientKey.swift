import CloudModel
package import Crypto
import Foundation

/// An ES384 key pair of an OAuth client, written as a private JSON Web Key (RFC 7517). The private half leaves this
/// process only into a file of mode 0600.
package struct ClientKey: Sendable, Equatable {
    /// Names the key among the client's keys.
    package let keyID: String
    /// The private number `d`, 48 bytes.
    private let secret: [UInt8]

    package static func generate() -> ClientKey {
        let key = P384.Signing.PrivateKey()
        let digest = SHA256.hash(data: key.publicKey.x963Representation)
        return ClientKey(keyID: Base64URL.encode(Array(digest)[..<12]), secret: Array(key.rawRepresentation))
    }

    package func signingKey() throws -> P384.Signing.PrivateKey {
        do {
            return try P384.Signing.PrivateKey(rawRepresentation: secret)
        } catch {
            throw CommandFailure(.failed, "The key \(keyID) is not a private key of P-384.")
        }
    }

    /// The public half, for registration.
    package func publicJWK() throws -> JSONValue {
        .object(try publicMembers().mapValues { .string($0) })
    }

    private func publicMembers() throws -> [String: String] {
        let point = Array(try signingKey().publicKey.rawRepresentation)
        return [
            "kty": "EC", "crv": "P-384", "alg": "ES384", "use": "sig", "kid": keyID,
            "x": Base64URL.encode(point[..<48]), "y": Base64URL.encode(point[48...]),
        ]
    }
}

extension ClientKey: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let members = try container.decode([String: String].self)
        guard let keyID = members["kid"], members["kty"] == "EC", members["crv"] == "P-384",
            let secret = members["d"].flatMap({ Base64URL.decode($0.utf8) }), secret.count == 48
        else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a private ES384 key in JWK form")
        }
        self.init(keyID: keyID, secret: secret)
    }

    package func encode(to encoder: any Encoder) throws {
        var members = try publicMembers()
        members["d"] = Base64URL.encode(secret)
        var container = encoder.singleValueContainer()
        try container.encode(members)
    }
}
