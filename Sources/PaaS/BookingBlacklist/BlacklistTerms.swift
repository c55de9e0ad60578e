package import RegionalRecord

/// What an entry of the blacklist says, as it is evaluated: who may not book from when until when.
///
/// It is read from a Flag that is valid FHIR R4, by the region's profile.
package struct BlacklistTerms: Sendable, Hashable {
    /// active → inactive → entered-in-error, or active → entered-in-error, and nothing else.
    package enum Status: String, Sendable, Hashable, CaseIterable {
        case active
        case inactive
        case enteredInError = "entered-in-error"

        /// What may follow.
        package var next: [Status] {
            switch self {
            case .active: [.active, .inactive, .enteredInError]
            case .inactive: [.enteredInError]
            case .enteredInError: []
            }
        }
    }

    package let status: Status
    package let person: PersonIdentifier
    /// Microseconds since 1970, half-open.
    package let starts: Int64
    package let ends: Int64

    /// The system of the codes that say what for a person is barred.
    package static let codeSystem = "urn:medcloud:booking-bar"
    /// no-show: appointments were not kept; misuse: of booking, such as trading in appointments; other: the text says what.
    package static let codes: Set<String> = ["no-show", "misuse", "other"]
    static let categorySystem = "http://terminology.hl7.org/CodeSystem/flag-category"
    /// No bar is longer.
    package static let maximumDays: Int64 = 3653

    /// One rule of the profile that a Flag breaks.
    package struct Finding: Sendable, Hashable {
        /// `Flag.period.end`
        package let place: String
        package let rule: String

        package init(place: String, rule: String) {
            self.place = place
            self.rule = rule
        }
    }
}

/// Why a Flag is none that the region records.
package struct BlacklistFindings: Error, Sendable {
    package let findings: [BlacklistTerms.Finding]
}
