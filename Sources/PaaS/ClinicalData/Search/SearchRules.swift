/// Which modifiers and prefixes each kind of parameter takes, in one place: the planner refuses by these tables and
/// `metadata` declares from them (FHIR R4 §3.1.1.4.8 and §3.1.1.4.9).
enum SearchRules {
    static func modifiers(_ kind: SearchParameter.Kind) -> [String] {
        switch kind {
        case .token: ["missing", "not", "text"]
        case .string: ["contains", "exact", "missing"]
        // And the name of each target type.
        case .reference: ["identifier", "missing"]
        case .date, .quantity, .number, .uri: ["missing"]
        }
    }

    static func prefixes(_ kind: SearchParameter.Kind) -> [SearchPrefix] {
        switch kind {
        case .date, .quantity, .number: SearchPrefix.allCases
        case .token, .string, .reference, .uri: []
        }
    }

    /// Parameters that say what comes back instead of what matches.
    static let resultParameters = [
        "_contained", "_count", "_cursor", "_elements", "_format", "_include", "_pretty", "_revinclude", "_sort",
        "_summary", "_total", "_totalMethod", "_type",
    ]

    /// The values of `_format` that ask for what we send.
    static let formats = ["json", "application/json", "application/fhir+json", "text/json"]

    static let defaultCount = 50
    static let maximumCount = 1000
    /// Rows that `_include` and `_revinclude` may add to a page.
    static let maximumIncluded = 1000
    static let maximumConditions = 64
    static let maximumAlternatives = 1000
    static let maximumSortKeys = 8
}

/// A parameter as a search over one or several types sees it.
struct DeclaredParameter: Sendable {
    enum Kind: Sendable, Hashable {
        /// `_id`: a column.
        case id
        /// `_lastUpdated`: a column.
        case lastUpdated
        case indexed(SearchParameter.Kind)
    }

    let name: String
    let kind: Kind
    /// One id for each searched type.
    let ids: [Int32]
    /// What references may point at, without repeats; empty for other kinds.
    let targets: [ResourceType]

    var modifiers: [String] {
        switch kind {
        case .id, .lastUpdated: []
        case .indexed(let kind): SearchRules.modifiers(kind)
        }
    }

    var prefixes: [SearchPrefix] {
        switch kind {
        case .id: []
        case .lastUpdated: SearchPrefix.allCases
        case .indexed(let kind): SearchRules.prefixes(kind)
        }
    }

    /// The word of the specification for the kind.
    var kindName: String {
        switch kind {
        case .id: "token"
        case .lastUpdated: "date"
        case .indexed(let kind): "\(kind)"
        }
    }
}

/// Looks parameters up for the types of a search.
struct ParameterTable {
    let definitions: Definitions

    /// The parameter that all of the types have under this name with the same kind; nil when there is none.
    func parameter(_ name: String, of types: [ResourceType]) -> DeclaredParameter? {
        switch name {
        case "_id": return DeclaredParameter(name: name, kind: .id, ids: [], targets: [])
        case "_lastUpdated": return DeclaredParameter(name: name, kind: .lastUpdated, ids: [], targets: [])
        default: break
        }
        var kind: SearchParameter.Kind?
        var ids: [Int32] = []
        var targets: [ResourceType] = []
        var known: Set<ResourceType> = []
        for type in types {
            guard let parameter = definitions.parameter(type, name), kind == nil || kind == parameter.kind else {
                return nil
            }
            kind = parameter.kind
            ids.append(parameter.id)
            for target in parameter.targets where known.insert(target).inserted { targets.append(target) }
        }
        guard let kind else { return nil }
        return DeclaredParameter(name: name, kind: .indexed(kind), ids: ids, targets: targets)
    }

    /// The names that all of the types share, sorted.
    func names(of types: [ResourceType]) -> [String] {
        var names: Set<String>?
        for type in types {
            let own = Set(definitions.parameters(of: type).map(\.code))
            names = names.map { $0.intersection(own) } ?? own
        }
        return ((names ?? []).union(["_id", "_lastUpdated"])).sorted()
    }

    /// How the canonical URLs of these parameters lead to resources of the types; nil when none does.
    func canonical(_ parameters: [Int32], to types: [ResourceType]) -> CanonicalLink? {
        let parameters = parameters.filter(definitions.isCanonical)
        func ids(_ code: String, _ kind: SearchParameter.Kind) -> [Int32] {
            types.compactMap { type in
                definitions.parameter(type, code).flatMap { $0.kind == kind ? $0.id : nil }
            }
        }
        let urls = ids("url", .uri)
        guard !parameters.isEmpty, !urls.isEmpty else { return nil }
        return CanonicalLink(parameters: parameters, urls: urls, versions: ids("version", .token))
    }

    /// The reference parameters of a type by name.
    func references(of type: ResourceType) -> [SearchParameter] {
        definitions.parameters(of: type).filter { $0.kind == .reference }
    }
}
