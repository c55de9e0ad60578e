/// A search as it came over HTTP, decoded but not yet understood.
package struct SearchRequest: Sendable {
    /// What to do with a parameter that is unknown or not served.
    package enum Handling: Sendable, Hashable {
        /// Refuse the search (the default).
        case strict
        /// Leave the parameter out, and say so in the self link and in an outcome entry (`Prefer: handling=lenient`).
        case lenient
    }

    /// The compartment of `/Patient/1/Observation`.
    package struct Compartment: Sendable, Hashable {
        /// The compartment's type, for example `Patient`.
        package let type: ResourceType
        /// The id of the resource that the compartment is about.
        package let id: String
        /// Only what is about that resource: itself, and what the parameters `patient` and `subject` find, of types that have
        /// them. A compartment also holds what is about somebody else and, say, asserted by this patient.
        package let isStrict: Bool

        package init(type: ResourceType, id: String, isStrict: Bool = false) {
            self.type = type
            self.id = id
            self.isStrict = isStrict
        }
    }

    /// The type that is searched; nil at system level and for `/Patient/1/*`.
    package var type: ResourceType?
    package var compartment: Compartment?
    /// Names and values in the order they came, URL-decoded; GET and POST give the same list.
    package var parameters: [(name: String, value: String)]
    package var handling: Handling
    /// The tenant's FHIR base without a trailing slash: absolute references into it are the same as relative ones.
    package var baseURL: String

    package init(
        type: ResourceType?, compartment: Compartment? = nil, parameters: [(name: String, value: String)],
        handling: Handling = .strict, baseURL: String = ""
    ) {
        self.type = type
        self.compartment = compartment
        self.parameters = parameters
        self.handling = handling
        self.baseURL = baseURL
    }
}
