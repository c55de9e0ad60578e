package import StrictJSON

/// What a Patient resource states of who the person is: all of it that leaves the institution.
package struct PatientClaims: Sendable, Equatable {
    /// Sorted, none twice.
    package let identifiers: [PersonIdentifier]
    /// Ids of patients of the same institution that are the same person, because this one replaces them or was replaced.
    package let samePatients: [String]

    static let maximumIdentifiers = 20

    /// - Parameters:
    ///   - today: `2026-11-29`; an identifier whose period ended before is not used.
    ///   - base: the institution's FHIR base without a slash at its end.
    package init(_ patient: JSONNode, today: String, base: String) {
        let birthDate = patient["birthDate"]?.string
        var found: Set<PersonIdentifier> = []
        for node in Self.elements(patient, "identifier") {
            guard found.count < Self.maximumIdentifiers else { break }
            guard let identifier = Self.identifier(node, birthDate: birthDate, today: today) else { continue }
            found.insert(identifier)
        }
        identifiers = found.sorted()
        var others: Set<String> = []
        for node in Self.elements(patient, "link") {
            guard let type = node["type"]?.string, type == "replaced-by" || type == "replaces",
                var reference = node["other"]?["reference"]?.string
            else { continue }
            if reference.hasPrefix(base + "/") { reference.removeFirst(base.count + 1) }
            let parts = reference.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == "Patient", others.count < Self.maximumIdentifiers else { continue }
            others.insert(String(parts[1]))
        }
        samePatients = others.sorted()
    }

    private static func elements(_ node: JSONNode, _ key: String) -> [JSONNode] {
        node[key].map { Array($0.elements) } ?? []
    }

    private static func identifier(_ node: JSONNode, birthDate: String?, today: String) -> PersonIdentifier? {
        guard let system = node["system"]?.string, let value = node["value"]?.string,
            let identifier = PersonIdentifier(system: system, value: value)
        else { return nil }
        switch node["use"]?.string {
        case "official": break
        case nil, "usual", "secondary": guard PersonIdentifier.isNational(identifier.system) else { return nil }
        default: return nil
        }
        if let end = node["period"]?["end"]?.string, end.prefix(10) < today.prefix(end.prefix(10).count) { return nil }
        if identifier.system == PersonIdentifier.residentIdentity, let birthDate, birthDate.count == 10,
            ResidentIdentityNumber(identifier.value)?.birthDate != birthDate
        {
            return nil
        }
        return identifier
    }
}
