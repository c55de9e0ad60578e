import Crypto
import FoundationEssentials

extension RegionKey {
    /// What Postgres stores for ``password(role:)`` (RFC 5803): made here, so that the password itself is never in a
    /// statement or the server's log. The salt is random, so two calls differ.
    package func scramVerifier(role: String) -> String {
        var generator = SystemRandomNumberGenerator()
        let salt = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return Self.scramVerifier(password: password(role: role), salt: salt, iterations: 4096)
    }

    /// SCRAM-SHA-256 of RFC 5802 §3 and RFC 7677.
    static func scramVerifier(password: String, salt: [UInt8], iterations: Int) -> String {
        let key = SymmetricKey(data: Array(password.utf8))
        var block = Array(HMAC<SHA256>.authenticationCode(for: salt + [0, 0, 0, 1], using: key))
        var salted = block
        for _ in 1..<iterations {
            block = Array(HMAC<SHA256>.authenticationCode(for: block, using: key))
            for index in salted.indices { salted[index] ^= block[index] }
        }
        let saltedKey = SymmetricKey(data: salted)
        let clientKey = HMAC<SHA256>.authenticationCode(for: Array("Client Key".utf8), using: saltedKey)
        let storedKey = SHA256.hash(data: Array(clientKey))
        let serverKey = HMAC<SHA256>.authenticationCode(for: Array("Server Key".utf8), using: saltedKey)
        func text(_ bytes: some Sequence<UInt8>) -> String { Data(bytes).base64EncodedString() }
        return "SCRAM-SHA-256$\(iterations):\(text(salt))$\(text(storedKey)):\(text(serverKey))"
    }
}

extension RegionKey {
    /// Whether a stored verifier (`pg_authid.rolpassword`) is of ``password(role:)``.
    package func isPassword(of role: String, verifier: String) -> Bool {
        // SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey
        let parts = verifier.split(separator: "$")
        guard parts.count == 3, parts[0] == "SCRAM-SHA-256" else { return false }
        let costs = parts[1].split(separator: ":")
        guard costs.count == 2, let iterations = Int(costs[0]), (1...100_000).contains(iterations),
            let salt = Data(base64Encoded: String(costs[1]))
        else { return false }
        return Self.scramVerifier(password: password(role: role), salt: Array(salt), iterations: iterations) == verifier
    }
}
