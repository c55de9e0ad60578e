package import PostgresDriver

/// Why the region's record refused or did not answer.
package struct RegionalRecordError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Base: String {
            case denied, unknownConsent, unknownPatient, patientChanged, versionConflict, illegalTransition, unavailable
            case keyReused, failed
        }
        private let base: Base
        private init(_ base: Base) { self.base = base }

        /// The acting institution may not do this.
        package static let denied = Code(.denied)
        /// No such consent, or none that the institution may know of.
        package static let unknownConsent = Code(.unknownConsent)
        /// The region's index has no such patient.
        package static let unknownPatient = Code(.unknownPatient)
        /// A new version of a consent names another patient.
        package static let patientChanged = Code(.patientChanged)
        /// Another version is current; ``RegionalRecordError/detail`` is its number.
        package static let versionConflict = Code(.versionConflict)
        /// ``RegionalRecordError/detail`` is `from,to`.
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

    /// The meaning of a failed call of a function of `region`; the SQLSTATEs `MC…` are raised by our own functions.
    init(_ error: PostgresError) {
        let detail = error.detail ?? ""
        switch error.sqlState {
        case "MC403", "42501": self.init(.denied, cause: error)
        case "MC404": self.init(.unknownConsent, cause: error)
        case "MC409": self.init(.keyReused, cause: error)
        case "MC412": self.init(.versionConflict, detail: detail, cause: error)
        case "MC422": self.init(detail == "changed" ? .patientChanged : .unknownPatient, cause: error)
        case "MC424": self.init(.illegalTransition, detail: detail, cause: error)
        case nil, "57P01", "57P02", "57P03", "53300", "57014": self.init(.unavailable, cause: error)
        default: self.init(.failed, cause: error)
        }
    }

    package var description: String {
        "\(code)" + (cause.map { " (\($0.sqlState ?? "\($0.code)"))" } ?? "")
    }
}
