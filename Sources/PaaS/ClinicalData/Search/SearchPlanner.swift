/// Turns a request into a plan, or says what is wrong with it.
struct SearchPlanner {
    let definitions: Definitions
    let table: ParameterTable
    let request: SearchRequest
    /// Whether the caller may search and read a type; chains, `_has` and includes touch only such types.
    let allows: (ResourceType) -> Bool

    var types: [ResourceType] = []
    var filters: [SearchFilter] = []
    var alternatives = 0
    var sort: [SearchPlan.SortKey] = []
    var count = SearchRules.defaultCount
    var total = SearchPlan.Total.whenKnown
    var includes: [SearchPlan.Include] = []
    var summary = SearchPlan.Summary.full
    var elements: SearchPlan.Elements?
    var cursor: String?
    var used: [(name: String, value: String)] = []
    var warnings: [SearchError] = []

    init(definitions: Definitions, request: SearchRequest, allows: @escaping (ResourceType) -> Bool) {
        self.definitions = definitions
        table = ParameterTable(definitions: definitions)
        self.request = request
        self.allows = allows
    }

    consuming func plan() throws(SearchError) -> SearchPlan {
        try resolveTypes()
        if let compartment = request.compartment { try addCompartment(compartment) }
        for (name, value) in request.parameters {
            do {
                try add(name, value)
                if name != "_cursor" { used.append((name, name == "_count" ? String(count) : value)) }
            } catch {
                guard request.handling == .lenient, error.code != .forbidden, error.code != .cursor else { throw error }
                warnings.append(error)
            }
        }
        if summary == .text, !includes.isEmpty {
            throw SearchError(
                .value, "'_summary=text' cannot be combined with '_include' or '_revinclude' (FHIR R4 3.1.1.5.9).",
                parameter: "_summary")
        }
        guard filters.count <= SearchRules.maximumConditions else {
            throw SearchError(.limit, "A search takes at most \(SearchRules.maximumConditions) conditions.")
        }
        guard alternatives <= SearchRules.maximumAlternatives else {
            throw SearchError(.limit, "A search takes at most \(SearchRules.maximumAlternatives) alternative values.")
        }
        return SearchPlan(
            types: types, path: path, filters: types[0].isAuditEvent ? filters : onOneRow(filters), sort: sort,
            count: count, total: total, includes: includes, summary: summary, elements: elements, cursor: cursor,
            used: used, warnings: warnings, baseURL: request.baseURL)
    }

    /// The conditions with those on the one row that a resource has of a parameter put together:
    /// `birthdate=ge1980&birthdate=lt1990` is one range.
    private func onOneRow(_ filters: [SearchFilter]) -> [SearchFilter] {
        var result: [SearchFilter] = []
        for filter in filters {
            guard case .any(let own) = filter, own.parameters.allSatisfy(definitions.hasOneRow),
                let index = result.firstIndex(where: {
                    if case .any(let other) = $0 { return other.parameters == own.parameters }
                    return false
                }), case .any(var row) = result[index]
            else {
                result.append(filter)
                continue
            }
            row.others.append(own.tests)
            result[index] = .any(row)
        }
        return result
    }

    private var path: String {
        guard let compartment = request.compartment else { return request.type?.name ?? "" }
        return "\(compartment.type.name)/\(compartment.id)/\(request.type?.name ?? "*")"
    }

    private mutating func resolveTypes() throws(SearchError) {
        if let type = request.type {
            types = [type]
            return
        }
        let asked = request.parameters.filter { $0.name == "_type" }
        guard asked.count <= 1 else {
            throw SearchError(.value, "'_type' may be given once; separate types by commas.", parameter: "_type")
        }
        if let value = asked.first?.value {
            for name in SearchText.split(value, at: UInt8(ascii: ",")) {
                guard let type = ResourceType.named(name) else {
                    throw SearchError(
                        .unknown, "'_type' names '\(name)', which is not a resource type of FHIR R4.",
                        parameter: "_type")
                }
                guard allows(type) else { throw Self.forbidden(type, in: "_type") }
                guard !type.isAuditEvent else { throw Self.auditStandsAlone("_type") }
                if !types.contains(type) { types.append(type) }
            }
        } else {
            types = definitions.types.filter { allows($0) && !$0.isAuditEvent }
        }
        if let compartment = request.compartment, asked.isEmpty {
            types = types.filter { isInCompartment($0, of: compartment) }
        }
        guard !types.isEmpty else {
            throw SearchError(.forbidden, "The caller may not search any type.")
        }
    }

    /// One parameter of the query.
    private mutating func add(_ name: String, _ value: String) throws(SearchError) {
        guard !value.isEmpty else {
            throw SearchError(.value, "The parameter '\(name)' has no value.", parameter: name)
        }
        guard !name.utf8.contains(0), !value.utf8.contains(0) else {
            throw SearchError(.value, "The character U+0000 cannot be searched for.")
        }
        let base = name.prefix { $0 != ":" && $0 != "." }
        if SearchRules.resultParameters.contains(String(base)) {
            try addResultParameter(name, value)
        } else if base == "_has" {
            filters.append(try reverseChain(name, value))
        } else {
            filters.append(try condition(name, value, on: types))
        }
    }

    static func forbidden(_ type: ResourceType, in parameter: String) -> SearchError {
        SearchError(
            .forbidden, "'\(parameter)' touches \(type.name), which the caller may not search.", parameter: parameter)
    }

    /// What leads to these types alone, Patient named first and not too many of the others.
    static func forbidden(all types: [ResourceType], in parameter: String, _ value: String? = nil) -> SearchError {
        let written = value.map { "\(parameter)=\($0)" } ?? parameter
        let names = types.map(\.name)
        let ordered = names.filter { $0 == "Patient" } + names.filter { $0 != "Patient" }
        let others = ordered.count > 8 ? " and others" : ""
        return SearchError(
            .forbidden,
            "'\(written)' leads to \(ordered.prefix(8).joined(separator: ", "))\(others), which the caller may not search.",
            parameter: parameter)
    }

    static func auditStandsAlone(_ parameter: String) -> SearchError {
        SearchError(
            .unsupported, "'\(parameter)' cannot name AuditEvent, which is searched on its own: AuditEvent?…",
            parameter: parameter)
    }

    // MARK: Compartments

    private func isInCompartment(_ type: ResourceType, of compartment: SearchRequest.Compartment) -> Bool {
        type == compartment.type || !compartmentParameters(type, of: compartment).isEmpty
    }

    /// The ids of the parameters that put a resource of the type into the compartment.
    private func compartmentParameters(_ type: ResourceType, of compartment: SearchRequest.Compartment) -> [Int32] {
        if compartment.isStrict { return definitions.subjectParameters(of: type, in: compartment.type) }
        guard let definition = definitions.compartment(compartment.type.name) else { return [] }
        return definition.parameters(for: type).compactMap { code in
            definitions.parameter(type, code).flatMap { $0.kind == .reference ? $0.id : nil }
        }
    }

    private mutating func addCompartment(_ compartment: SearchRequest.Compartment) throws(SearchError) {
        guard definitions.compartment(compartment.type.name) != nil else {
            throw SearchError(.unknown, "FHIR R4 has no compartment \(compartment.type.name).")
        }
        var parameters: [Int32] = []
        for type in types {
            guard isInCompartment(type, of: compartment) else {
                throw SearchError(.unknown, "\(type.name) is not in the compartment of \(compartment.type.name).")
            }
            parameters += compartmentParameters(type, of: compartment)
        }
        filters.append(
            .compartment(
                parameters: parameters, type: compartment.type.code, id: compartment.id,
                includesItself: types.contains(compartment.type)))
    }
}
