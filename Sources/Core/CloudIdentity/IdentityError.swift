/// Why a credential was refused. What the client is told is ``Code`` at most; ``reason`` is for the log and never quotes the
/// credential.
package struct IdentityError: Error, Sendable, Hashable, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Base: String {
            case malformed, algorithm, key, signature, issuer, audience, time, claim, scope, replayed, revoked
            case unavailable
        }
        private let base: Base
        private init(_ base: Base) { self.base = base }

        /// Not three base64url parts of strict JSON, too large, or with a header that must not be there.
        package static let malformed = Code(.malformed)
        /// `alg` is not one of RS384 and ES384.
        package static let algorithm = Code(.algorithm)
        /// No key fits, more than one fits, or a key breaks a rule.
        package static let key = Code(.key)
        package static let signature = Code(.signature)
        package static let issuer = Code(.issuer)
        package static let audience = Code(.audience)
        /// Expired, not yet valid, or valid for too long.
        package static let time = Code(.time)
        /// A claim is missing or has the wrong form.
        package static let claim = Code(.claim)
        package static let scope = Code(.scope)
        /// The assertion was used before.
        package static let replayed = Code(.replayed)
        package static let revoked = Code(.revoked)
        /// Whether it is good cannot be told now; try again (503).
        package static let unavailable = Code(.unavailable)

        package var description: String { base.rawValue }
    }

    package let code: Code
    package let reason: String

    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    package var description: String { "\(code): \(reason)" }
}
