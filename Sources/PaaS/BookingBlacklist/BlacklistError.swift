package import PostgresDriver

/// Why the blacklist refused or did not answer.
package struct BlacklistError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Base: String {
            case unknownEntry, personChanged, periodChanged, versionConflict, illegalTransition, keyReused, unavailable
            case failed
        }
        private let base: Base
        private init(_ base: Base) { self.base = base }

        package static let unknownEntry = Code(.unknownEntry)
        /// A new version of an entry names another person.
        package static let personChanged = Code(.personChanged)
        /// A new version of an automatic entry has another period.
        package static let periodChanged = Code(.periodChanged)
        /// Another version is current; ``BlacklistError/detail`` is its number.
        package static let versionConflict = Code(.versionConflict)
        /// ``BlacklistError/detail`` is `from,to`.
        package static let illegalTransition = Code(.illegalTransition)
        /// The Idempotency-Key came with another request before.
        package static let keyReused = Code(.keyReused)
        /// The region database does not answer now.
        package static let unavailable = Code(.unavailable)
        /// Anything else; the cause says what.
        package static let failed = Code(.failed)

        package var description: String { base.rawValue }
    }

    package let code: Code
    /// For the codes that say so.
    package let detail: String
    package let cause: PostgresError?

    init(_ code: Code, detail: String = "", cause: PostgresError? = nil) {
        self.code = code
        self.detail = detail
        self.cause = cause
    }

    /// The meaning of a failed call of a function of `blacklist`; the SQLSTATEs `MC…` are raised by our own functions.
    init(_ error: PostgresError) {
        let detail = error.detail ?? ""
        switch error.sqlState {
        case "MC404": self.init(.unknownEntry, cause: error)
        case "MC409": self.init(.keyReused, cause: error)
        case "MC412": self.init(.versionConflict, detail: detail, cause: error)
        case "MC422": self.init(detail == "person" ? .personChanged : .periodChanged, cause: error)
        case "MC424": self.init(.illegalTransition, detail: detail, cause: error)
        case nil, "57P01", "57P02", "57P03", "53300", "57014": self.init(.unavailable, cause: error)
        default: self.init(.failed, cause: error)
        }
    }

    package var description: String {
        "\(code)" + (cause.map { " (\($0.sqlState ?? "\($0.code)"))" } ?? "")
    }
}
