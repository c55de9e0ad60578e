import CloudModel
import Crypto
package import Foundation
import NIOCore

/// Signs client assertions and exchanges them for access tokens (SMART Backend Services: client_credentials with
/// private_key_jwt, ES384).
package enum ClientAssertion {
    /// A signed assertion for `tokenURL`, valid for four minutes (five is the most that is accepted).
    ///
    /// - Parameters:
    ///   - practitioner: a reference to the person on whose behalf the client acts; audited.
    ///   - purpose: a code of v3 PurposeOfUse, such as TREAT; audited.
    package static func make(
        clientID: String, key: ClientKey, tokenURL: String, practitioner: String? = nil, purpose: String? = nil,
        now: Date = Date()
    ) throws -> String {
        let issued = Int64(now.timeIntervalSince1970)
        var claims: [String: JSONValue] = [
            "iss": .string(clientID), "sub": .string(clientID), "aud": .string(tokenURL),
            "iat": .integer(issued), "exp": .integer(issued + 240), "jti": .string(UUID().uuidString.lowercased()),
        ]
        if practitioner != nil || purpose != nil {
            // The extension object that UDAP and IHE IUA use.
            var onBehalf: [String: JSONValue] = ["version": .string("1")]
            if let practitioner { onBehalf["subject_id"] = .string(practitioner) }
            if let purpose { onBehalf["purpose_of_use"] = .array([.string(purpose)]) }
            claims["extensions"] = .object(["hl7-b2b": .object(onBehalf)])
        }
        let header = JSONValue.object([
            "alg": .string("ES384"), "typ": .string("JWT"), "kid": .string(key.keyID),
        ])
        let message =
            Base64URL.encode(header.serialized(pretty: false).utf8) + "."
            + Base64URL.encode(JSONValue.object(claims).serialized(pretty: false).utf8)
        // JWS wants r and s side by side (RFC 7518 §3.4), which is what rawRepresentation is.
        let signature = try key.signingKey().signature(for: Array(message.utf8))
        return message + "." + Base64URL.encode(signature.rawRepresentation)
    }
}

/// An access token as the token endpoint gave it.
package struct AccessToken: Sendable, Equatable {
    package let value: String
    package let expiresIn: Int64
    package let scope: String
    /// The whole answer.
    package let answer: JSONValue
}

extension RegionConnection {
    /// Gets an access token.
    package func token(
        clientID: String, key: ClientKey, tokenURL: String, scope: String, practitioner: String? = nil,
        purpose: String? = nil
    ) async throws -> AccessToken {
        let answer = try await Self.patiently {
            // A new one each time: none is taken twice.
            let assertion = try ClientAssertion.make(
                clientID: clientID, key: key, tokenURL: tokenURL, practitioner: practitioner, purpose: purpose)
            let form = FormText.encode([
                ("grant_type", "client_credentials"), ("scope", scope), ("client_assertion", assertion),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ])
            return try await send(
                .init(
                    method: "POST", url: tokenURL, body: Array(form.utf8),
                    headers: [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")]))
        }
        let body = answer.json
        guard answer.status == 200, let value = body?[key: "access_token"]?.string else {
            let reason = body?[key: "error_description"]?.string ?? body?[key: "error"]?.string
            throw CommandFailure(
                .unauthorized,
                "The token endpoint refused client \(clientID): \(reason ?? "status \(answer.status)") (\(tokenURL)).")
        }
        return AccessToken(
            value: value, expiresIn: body?[key: "expires_in"]?.integer ?? 0,
            scope: body?[key: "scope"]?.string ?? scope, answer: body ?? .null)
    }
}

/// `application/x-www-form-urlencoded` text.
package enum FormText {
    package static func encode(_ fields: [(String, String)]) -> String {
        fields.map { "\(escape($0.0))=\(escape($0.1))" }.joined(separator: "&")
    }

    /// Everything but RFC 3986's unreserved characters becomes %XX; right for queries and path segments too.
    package static func escape(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF")
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.append(Character(UnicodeScalar(byte)))
            default:
                result.append("%")
                result.append(digits[Int(byte >> 4)])
                result.append(digits[Int(byte & 15)])
            }
        }
        return result
    }
}

/// A token, asked for once and again when it is about to expire.
actor TokenCache {
    private var current: (token: String, until: ContinuousClock.Instant)?

    func value(_ fetch: @Sendable () async throws -> AccessToken) async throws -> String {
        if let current, ContinuousClock.now < current.until { return current.token }
        let fresh = try await fetch()
        current = (fresh.value, ContinuousClock.now + .seconds(max(1, fresh.expiresIn - 30)))
        return fresh.value
    }
}
