import CloudModel
package import StrictJSON

/// A signed token in compact form (RFC 7515), taken apart and checked as far as no key is needed. Nothing in it is to be
/// believed before ``verify(with:)`` has returned.
package struct CompactToken: Sendable {
    /// Larger tokens are refused unread.
    package static let maximumBytes = 8192

    package let algorithm: JSONWebKey.Algorithm
    package let keyID: String
    package let type: String?
    /// `jku`: where the sender says its keys are. Never fetched.
    package let keySetURL: String?
    /// Not verified.
    package let claims: JSONNode
    private let signingInput: [UInt8]
    private let signature: [UInt8]

    /// - Throws: ``IdentityError/Code/malformed`` or ``IdentityError/Code/algorithm``.
    package init(_ text: some StringProtocol) throws(IdentityError) {
        guard text.utf8.count <= Self.maximumBytes else { throw IdentityError(.malformed, "the token is too large") }
        let bytes = Array(text.utf8)
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[2].isEmpty else { throw IdentityError(.malformed, "not three parts") }
        guard let header = Base64URL.decode(parts[0]), let payload = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2])
        else { throw IdentityError(.malformed, "not base64url") }
        let head = try StrictDocument.parse(header, code: .malformed).root
        for name in ["crit", "b64", "zip", "enc"] where head[name] != nil {
            throw IdentityError(.malformed, "header \(name) is not supported")
        }
        for name in ["jwk", "x5u", "x5c"] where head[name] != nil {
            throw IdentityError(.malformed, "header \(name) would bring its own key")
        }
        guard let named = head["alg"]?.string, let algorithm = JSONWebKey.Algorithm(rawValue: named) else {
            throw IdentityError(.algorithm, "alg must be RS384 or ES384")
        }
        guard let keyID = head["kid"]?.string, !keyID.isEmpty else {
            throw IdentityError(.malformed, "header kid is missing")
        }
        self.algorithm = algorithm
        self.keyID = keyID
        type = try Self.text(head["typ"], "typ")
        keySetURL = try Self.text(head["jku"], "jku")
        claims = try StrictDocument.parse(payload, code: .malformed).root
        signingInput = Array(bytes[..<parts[1].endIndex])
        self.signature = signature
    }

    /// Checks the signature.
    package func verify(with key: JSONWebKey) throws(IdentityError) {
        guard key.algorithm == algorithm, key.keyID == keyID else {
            throw IdentityError(.key, "the key does not fit the token")
        }
        guard key.verifies(signature, of: signingInput) else {
            throw IdentityError(.signature, "the signature is not of this key")
        }
    }

    /// A claim that must be a string of 1 to `limit` bytes without control characters.
    func requiredText(_ name: String, limit: Int = 512) throws(IdentityError) -> String {
        guard let text = claims[name]?.string, (1...limit).contains(text.utf8.count),
            text.utf8.allSatisfy({ $0 >= 32 && $0 != 127 })
        else { throw IdentityError(.claim, "claim \(name) is missing or not plain text") }
        return text
    }

    /// A claim that, if there, must be whole seconds since 1970.
    func optionalTime(_ name: String) throws(IdentityError) -> Int64? {
        guard let node = claims[name] else { return nil }
        guard let value = node.integer, value >= 0 else {
            throw IdentityError(.claim, "claim \(name) is not whole seconds")
        }
        return Int64(value)
    }

    /// Whether `aud` is `audience`, alone or in an array of one.
    func isFor(_ audience: String) -> Bool {
        guard let node = claims["aud"] else { return false }
        if node.kind == .string { return node.stringIs(audience) }
        guard node.kind == .array, node.count == 1 else { return false }
        return node.elements.contains { $0.stringIs(audience) }
    }

    private static func text(_ node: JSONNode?, _ name: String) throws(IdentityError) -> String? {
        guard let node else { return nil }
        guard let text = node.string else { throw IdentityError(.malformed, "header \(name) is not text") }
        return text
    }
}
