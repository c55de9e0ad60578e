// What can be searched, and how.

/// A search parameter of one resource type.
package struct SearchParameter: Sendable {
    /// How values are compared (https://hl7.org/fhir/R4/search.html#ptypes).
    package enum Kind: String, Sendable, CaseIterable {
        case token, string, date, reference, quantity, number, uri
    }

    /// Stable within R4: the position, from 1, in the alphabetical order of (type, code) over all types.
    package let id: Int32
    package let type: ResourceType
    /// The name in a query, such as `birthdate`.
    package let code: String
    package let kind: Kind
    /// What a reference may point at, in the order of their codes; empty when this is not a reference.
    package let targets: [ResourceType]
    /// The canonical URL of the definition.
    package let url: String
    /// The FHIRPath of the definition, over all types that share it.
    package let expression: String
}

/// Which parameters tie the resources of each type to a compartment.
package struct Compartment: Sendable {
    /// `Patient`, `Encounter`, `RelatedPerson`, `Practitioner` or `Device`.
    package let name: String
    let codes: [ResourceType: [String]]
    let ids: [ResourceType: [Int32]]

    /// The codes of the parameters by which a resource of this type belongs to the compartment, in the order of the
    /// definition. Empty when the type is never part of it.
    package func parameters(for type: ResourceType) -> [String] { codes[type] ?? [] }
}
