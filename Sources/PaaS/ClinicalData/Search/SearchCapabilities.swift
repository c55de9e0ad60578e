/// What search serves, from the tables that the planner refuses by; `metadata` and the conformance tests read it.
package struct SearchCapabilities: Sendable {
    /// One search parameter of a type.
    package struct Parameter: Sendable, Hashable {
        package let name: String
        /// FHIR's SearchParamType.
        package let type: String
        /// The canonical URL of the definition; nil for what has none of its own here.
        package let url: String?
        /// Without the colon, sorted; a reference parameter also takes the name of each of its targets.
        package let modifiers: [String]
        package let prefixes: [SearchPrefix]
        /// Names of the types that a reference parameter chains to; empty when it may be any, and for other kinds.
        package let targets: [String]
    }

    private let table: ParameterTable
    private let definitions: Definitions

    package init(definitions: Definitions) {
        self.definitions = definitions
        table = ParameterTable(definitions: definitions)
    }

    /// Every parameter of a type, sorted by name.
    package func parameters(of type: ResourceType) -> [Parameter] {
        table.names(of: [type]).compactMap { name in
            guard let parameter = table.parameter(name, of: [type]) else { return nil }
            return Parameter(
                name: name, type: parameter.kindName, url: url(name, type), modifiers: parameter.modifiers,
                prefixes: parameter.prefixes, targets: parameter.targets.map(\.name))
        }
    }

    /// The parameters that all types share: those of a search over the whole base.
    package func commonParameters() -> [Parameter] {
        guard let first = definitions.types.first else { return [] }
        let names = Set(table.names(of: definitions.types))
        return parameters(of: first).filter { names.contains($0.name) }
    }

    /// Values of `_include` for a type, sorted.
    package func includes(of type: ResourceType) -> [String] {
        ["*", "\(type.name):*"] + table.references(of: type).map { "\(type.name):\($0.code)" }
    }

    /// Values of `_revinclude` for a type: references from any type that may point at it, sorted.
    package func reverseIncludes(of type: ResourceType) -> [String] {
        definitions.types.filter { !$0.isAuditEvent }.flatMap { source in
            let codes = table.references(of: source)
                .filter { $0.targets.isEmpty || $0.targets.contains(type) }
                .map(\.code)
            return (codes.isEmpty ? [] : ["*"] + codes).map { "\(source.name):\($0)" }
        }
    }

    private func url(_ name: String, _ type: ResourceType) -> String? {
        switch name {
        case "_id": "http://hl7.org/fhir/SearchParameter/Resource-id"
        case "_lastUpdated": "http://hl7.org/fhir/SearchParameter/Resource-lastUpdated"
        default: definitions.parameter(type, name)?.url
        }
    }
}
