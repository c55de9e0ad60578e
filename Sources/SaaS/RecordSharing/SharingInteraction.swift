import ClinicalData
import CloudHTTP
import HTTPTypes
import RegionalRecord

/// What a method and a path below `/region/fhir` ask for.
enum SharingInteraction: Sendable, Hashable {
    case capabilities
    /// `Patient?identifier=`
    case findPatient
    case readPatient(RegionID)
    case everything(RegionID)
    case search(ResourceType)
    case read(ResourceType, SharedID)
    case versions(ResourceType, SharedID)
    case readVersion(ResourceType, SharedID, version: String)
    case recordConsent
    case searchConsents
    case readConsent(RegionID)
    case updateConsent(RegionID)
    case consentVersions(RegionID)
    case readConsentVersion(RegionID, version: String)
    case recordFlag
    /// Entries of the blacklist; with `patient`, flags that holders have of a patient.
    case searchFlags
    case readFlag(RegionID)
    case updateFlag(RegionID)
    case flagVersions(RegionID)
    case readFlagVersion(RegionID, version: String)
    case accessLog

    /// - Parameter path: decoded segments below the base.
    /// - Throws: 404 for what does not exist, 405 for a method that does not fit.
    init(_ method: HTTPRequest.Method, path: [String]) throws(Problem) {
        guard let first = path.first else { throw .nothingShared }
        if path == ["metadata"] {
            self = try Self.pick(method, [.get: .capabilities])
            return
        }
        guard let type = ResourceType.named(first) else { throw .nothingShared }
        let rest = Array(path.dropFirst())
        if rest == [Self.formName] {
            self = try Self.pick(method, [.post: try SharingInteraction(.get, path: [first])])
            return
        }
        switch type.name {
        case "Consent": self = try Self.consent(type, method, rest)
        case "Flag": self = try Self.flag(type, method, rest)
        case "AuditEvent":
            guard rest.isEmpty else { throw .nothingShared }
            self = try Self.pick(method, [.get: .accessLog])
        case "Patient": self = try Self.patient(type, method, rest)
        default: self = try Self.shared(type, method, rest)
        }
    }

    private static let formName = "_search"

    /// Whether the body holds more parameters: `POST TYPE/_search`.
    static func isForm(_ method: HTTPRequest.Method, path: [String]) -> Bool {
        method == .post && path.count == 2 && path[1] == formName
    }

    private static func patient(
        _ type: ResourceType, _ method: HTTPRequest.Method, _ rest: [String]
    ) throws(Problem) -> SharingInteraction {
        guard let id = rest.first else { return try pick(method, [.get: .findPatient]) }
        guard let patient = RegionID(id) else { return try shared(type, method, rest) }
        switch rest.dropFirst() {
        case []: return try pick(method, [.get: .readPatient(patient)])
        case ["$everything"]: return try pick(method, [.get: .everything(patient)])
        default: throw .nothingShared
        }
    }

    private static func consent(
        _ type: ResourceType, _ method: HTTPRequest.Method, _ rest: [String]
    ) throws(Problem) -> SharingInteraction {
        guard let text = rest.first else {
            return try pick(method, [.get: .searchConsents, .post: .recordConsent])
        }
        // A holder's own Consent has an id like its other resources.
        guard let id = RegionID(text) else { return try shared(type, method, rest) }
        switch (rest.count, rest.dropFirst().first) {
        case (1, _): return try pick(method, [.get: .readConsent(id), .put: .updateConsent(id)])
        case (2, "_history"): return try pick(method, [.get: .consentVersions(id)])
        case (3, "_history"): return try pick(method, [.get: .readConsentVersion(id, version: rest[2])])
        default: throw .nothingShared
        }
    }

    private static func flag(
        _ type: ResourceType, _ method: HTTPRequest.Method, _ rest: [String]
    ) throws(Problem) -> SharingInteraction {
        guard let text = rest.first else { return try pick(method, [.get: .searchFlags, .post: .recordFlag]) }
        // A holder's own Flag has an id like its other resources.
        guard let id = RegionID(text) else { return try shared(type, method, rest) }
        switch (rest.count, rest.dropFirst().first) {
        case (1, _): return try pick(method, [.get: .readFlag(id), .put: .updateFlag(id)])
        case (2, "_history"): return try pick(method, [.get: .flagVersions(id)])
        case (3, "_history"): return try pick(method, [.get: .readFlagVersion(id, version: rest[2])])
        default: throw .nothingShared
        }
    }

    private static func shared(
        _ type: ResourceType, _ method: HTTPRequest.Method, _ rest: [String]
    ) throws(Problem) -> SharingInteraction {
        guard let text = rest.first else { return try pick(method, [.get: .search(type)]) }
        guard let id = SharedID(text) else { throw .nothingShared }
        switch (rest.count, rest.dropFirst().first) {
        case (1, _): return try pick(method, [.get: .read(type, id)])
        case (2, "_history"): return try pick(method, [.get: .versions(type, id)])
        case (3, "_history"): return try pick(method, [.get: .readVersion(type, id, version: rest[2])])
        default: throw .nothingShared
        }
    }

    private static func pick(
        _ method: HTTPRequest.Method, _ choices: [HTTPRequest.Method: SharingInteraction]
    ) throws(Problem) -> SharingInteraction {
        if let choice = choices[method] { return choice }
        var allowed = choices.keys.map(\.rawValue)
        if choices[.get] != nil { allowed.append("HEAD") }
        throw Problem(
            .methodNotAllowed, "Allowed: \(allowed.sorted().joined(separator: ", ")).", allow: allowed.sorted())
    }
}

extension Problem {
    /// The one 404 of the region's base: what does not exist and what the caller may not know of look the same.
    static let nothingShared = Problem(.notFound, "There is nothing here, or nothing that you may know of.")
}
