package import ClinicalData
package import CloudModel
package import StrictJSON

/// What a consent says, as it is evaluated: who may, or may not, read what of whom, for what, from when until when.
///
/// The consents of a patient are added up: what any of them permits and none denies may be read.
///
/// It is read from a Consent that is valid FHIR R4, by the region's profile. Whatever in the resource would narrow the
/// consent and is not evaluated here is refused, so that nobody relies on a restriction that nothing enforces.
package struct ConsentTerms: Sendable, Hashable {
    /// draft → active → inactive, and nothing else.
    package enum Status: String, Sendable, Hashable {
        case draft
        case active
        case inactive

        /// What may follow; a new version may also stay as it is, except that an inactive one is closed.
        package var next: [Status] {
            switch self {
            case .draft: [.draft, .active]
            case .active: [.active, .inactive]
            case .inactive: []
            }
        }
    }

    package let status: Status
    /// Whether it permits; otherwise it denies.
    package let permits: Bool
    package let patient: RegionID
    /// The institutions that it is about; none in a denial = all.
    package let grantees: [TenantID]
    /// Codes of ``PurposeOfUse``; none in a denial = all.
    package let purposes: [String]
    /// The only types that it is about; nil = all.
    package let types: [ResourceType]?
    /// Microseconds since 1970, half-open.
    package let starts: Int64
    package let ends: Int64

    /// The system of a tenant's id where an actor is named by identifier.
    package static let tenantSystem = "urn:medcloud:tenant"

    /// One rule of the profile that a Consent breaks.
    package struct Finding: Error, Sendable, Hashable {
        /// `Consent.provision.period.end`
        package let place: String
        package let rule: String

        package init(place: String, rule: String) {
            self.place = place
            self.rule = rule
        }
    }

    /// Reads the terms of a Consent.
    ///
    /// - Parameters:
    ///   - consent: valid FHIR R4.
    ///   - recorder: the institution that records it.
    ///   - days: where it is recorded.
    ///   - now: microseconds since 1970.
    /// - Throws: every rule it breaks, together.
    package init(
        _ consent: JSONNode, recorder: TenantID, definitions: Definitions, days: CivilDays, now: Int64
    ) throws(ConsentFindings) {
        var reader = ConsentReader(recorder: recorder, definitions: definitions, days: days, now: now)
        guard let terms = reader.read(consent), reader.findings.isEmpty else {
            throw ConsentFindings(findings: reader.findings)
        }
        self = terms
    }

    init(
        status: Status, permits: Bool, patient: RegionID, grantees: [TenantID], purposes: [String],
        types: [ResourceType]?, starts: Int64, ends: Int64
    ) {
        self.status = status
        self.permits = permits
        self.patient = patient
        self.grantees = grantees
        self.purposes = purposes
        self.types = types
        self.starts = starts
        self.ends = ends
    }
}

/// Why a Consent is none that the region records.
package struct ConsentFindings: Error, Sendable {
    package let findings: [ConsentTerms.Finding]
}
