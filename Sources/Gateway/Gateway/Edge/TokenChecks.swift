import CloudHTTP
package import CloudIdentity
import HTTPTypes
import ModuleKit

/// What the gateway needs of the token verifier.
package protocol TokenChecking: Sendable {
    /// The token if it was verified before and is still good; never waits.
    func cached(_ token: Substring) -> VerifiedToken?
    /// The same for a token that still lies among the bytes of its request.
    func cached(_ token: UnsafeRawBufferPointer) -> VerifiedToken?
    func verify(_ token: String) async throws(IdentityError) -> VerifiedToken
}

extension TokenVerifier: TokenChecking {}

/// Who sends a request, by its `Authorization` header.
struct Authentication: Sendable {
    let tokens: any TokenChecking

    /// - Throws: 401 without a credential or with a bad one, whatever the path names; 503 when that cannot be told now.
    func principal(of headers: HTTPFields) async throws(Problem) -> VerifiedToken {
        guard let token = BearerToken.parse(headers[.authorization]) else { throw Problem(.unauthenticated) }
        if let known = tokens.cached(token) { return known }
        do {
            return try await tokens.verify(String(token))
        } catch {
            throw error.code == .unavailable
                ? Problem(.unavailable, "Credentials cannot be checked now.", retryAfter: 1)
                : Problem(.unauthenticated)
        }
    }

    /// The challenge that goes with a 401 (RFC 6750 §3): `invalid_token` only when there was a token.
    static func challenge(for headers: HTTPFields) -> String {
        headers[.authorization] == nil
            ? #"Bearer realm="medcloud""# : #"Bearer realm="medcloud", error="invalid_token""#
    }
}
