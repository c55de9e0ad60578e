package import StrictJSON

// Whom a resource is about. A compartment also holds what its patient said, did or is one of several in.

extension Definitions {
    /// Whether resources of this type are about patients: Patient itself, and the types of the patient compartment that have a
    /// parameter `patient` or `subject`. In R4 these are all of it but Group and Schedule, which have patients as members and
    /// actors beside others.
    package func isAboutPatients(_ type: ResourceType) -> Bool {
        guard let patient = typesByName["Patient"] else { return false }
        return type == patient || !subjectParameters(of: type, in: patient).isEmpty
    }

    /// The ids of the parameters that say whom a resource of the type is about, when it may be in a compartment; none for what
    /// the compartment itself is about.
    func subjectParameters(of type: ResourceType, in compartment: ResourceType) -> [Int32] {
        guard type != compartment, let definition = self.compartment(compartment.name),
            !definition.parameters(for: type).isEmpty
        else { return [] }
        return ["patient", "subject"].compactMap { code in
            guard let parameter = parameter(type, code), parameter.kind == .reference,
                parameter.targets.isEmpty || parameter.targets.contains(compartment)
            else { return nil }
            return parameter.id
        }
    }

    /// Whether a resource is about a patient, by the rule of a search in the patient's strict compartment.
    ///
    /// - Parameters:
    ///   - id: The patient's.
    ///   - document: The resource, of any version.
    ///   - type: Its type.
    ///   - baseURL: The FHIR base without a slash at its end, which absolute references to the patient begin with.
    package func isAbout(
        patient id: String, document: JSONDocument, type: ResourceType, baseURL: String
    ) -> Bool {
        guard let patient = typesByName["Patient"] else { return false }
        let rows = extract(document: document, type: type, baseURL: baseURL)
        if type == patient { return rows.patient == id }
        let subjects = subjectParameters(of: type, in: patient)
        return rows.references.contains {
            subjects.contains($0.parameter) && $0.targetType == patient.code && $0.targetID == id
        }
    }
}
