// Parameters that say what comes back.

extension SearchPlanner {
    mutating func addResultParameter(_ name: String, _ value: String) throws(SearchError) {
        switch name {
        case "_include", "_include:iterate": try addInclude(name, value)
        case "_revinclude", "_revinclude:iterate": try addReverseInclude(name, value)
        case "_sort": try addSort(value)
        case "_elements": try addElements(value)
        // Read by `resolveTypes`.
        case "_type":
            guard request.type == nil else {
                throw SearchError(.unsupported, "'_type' is for searches over several types.", parameter: name)
            }
        default:
            guard !name.contains(":"), !name.contains(".") else {
                throw SearchError(.unsupported, "'\(name)' takes no such modifier.", parameter: name)
            }
            guard name == "_format" || !used.contains(where: { $0.name == name }) else {
                throw SearchError(.value, "'\(name)' may be given once.", parameter: name)
            }
            try addSimpleParameter(name, value)
        }
    }

    private mutating func addSimpleParameter(_ name: String, _ value: String) throws(SearchError) {
        switch name {
        case "_count":
            guard let number = Int(value), number >= 0, value.first != "+" else {
                throw Self.notOneOf(name, value, ["a number from 0 on"])
            }
            // A page may be smaller than what was asked for; the self link says so.
            count = min(number, SearchRules.maximumCount)
        case "_cursor":
            guard cursor == nil else { throw SearchError.badCursor }
            cursor = value
        case "_total":
            switch value {
            case "none": total = .none
            case "estimate", "accurate": total = .counted
            default: throw Self.notOneOf(name, value, ["accurate", "estimate", "none"])
            }
        // What fhirpy sends along with `_count=0`.
        case "_totalMethod":
            guard value == "count" else { throw Self.notOneOf(name, value, ["count"]) }
        case "_summary":
            switch value {
            case "true": summary = .marked
            case "text": summary = .text
            case "data": summary = .data
            case "count": summary = .count
            case "false": summary = .full
            default: throw Self.notOneOf(name, value, ["count", "data", "false", "text", "true"])
            }
        case "_format":
            let type = value.prefix { $0 != ";" }
            // A plus sign that was not encoded arrives as a space.
            guard SearchRules.formats.contains(type == "application/fhir json" ? "application/fhir+json" : String(type))
            else { throw Self.notOneOf(name, value, SearchRules.formats) }
        // What is contained in a resource is not searched by itself.
        case "_contained":
            guard value == "false" else { throw Self.notOneOf(name, value, ["false"]) }
        case "_pretty":
            guard value == "false" else { throw Self.notOneOf(name, value, ["false"]) }
        default:
            throw SearchError(.unknown, "'\(name)' is not served.", parameter: name)
        }
    }

    private static func notOneOf(_ name: String, _ value: String, _ valid: [String]) -> SearchError {
        SearchError(.value, "'\(value)' is not a value of '\(name)'.", parameter: name, validNames: valid)
    }

    // MARK: Sorting and elements

    private mutating func addSort(_ value: String) throws(SearchError) {
        var keys: [SearchPlan.SortKey] = []
        for key in SearchText.split(value, at: UInt8(ascii: ",")) {
            let descending = key.hasPrefix("-")
            let name = descending ? String(key.dropFirst()) : key
            guard let parameter = table.parameter(name, of: types) else {
                throw SearchError(
                    .unknown, "'_sort' cannot order by '\(name)'.", parameter: "_sort",
                    validNames: table.names(of: types))
            }
            let source: SearchPlan.SortKey.Source =
                switch parameter.kind {
                case .id: .id
                case .lastUpdated: .lastUpdated
                case .indexed(let kind): .index(Self.table(kind, nil), parameter.ids)
                }
            let isSingle = !parameter.ids.isEmpty && parameter.ids.allSatisfy(definitions.hasOneRow)
            keys.append(SearchPlan.SortKey(source: source, descending: descending, isSingle: isSingle))
        }
        guard sort.count + keys.count <= SearchRules.maximumSortKeys else {
            throw SearchError(
                .limit, "'_sort' takes at most \(SearchRules.maximumSortKeys) keys.", parameter: "_sort")
        }
        sort += keys
    }

    /// `_elements=name,birthDate`; fhirpy's `-name` leaves out instead.
    private mutating func addElements(_ value: String) throws(SearchError) {
        let excludes = value.hasPrefix("-")
        let names = SearchText.split(excludes ? String(value.dropFirst()) : value, at: UInt8(ascii: ","))
        let known = Set(types.flatMap { TypeElements(of: $0, in: definitions).names }).union(["resourceType"])
        for name in names where !known.contains(name) {
            throw SearchError(
                .unknown, "'_elements' names '\(name)', which is not a top element of the searched type.",
                parameter: "_elements", validNames: known.sorted())
        }
        guard elements == nil || elements?.excludes == excludes else {
            throw SearchError(.value, "'_elements' either names elements or leaves them out.", parameter: "_elements")
        }
        elements = SearchPlan.Elements(names: (elements?.names ?? []) + names, excludes: excludes)
    }

    // MARK: Includes

    /// `*`, `Type:*`, `Type:code` or `Type:code:Target`.
    ///
    /// An include adds what the caller may search of the types that the reference leads to. When that is nothing, the bundle
    /// says so; a type that the caller names must be permitted.
    private mutating func addInclude(_ name: String, _ value: String) throws(SearchError) {
        let iterates = name.hasSuffix(":iterate")
        let parameters: [SearchParameter]
        var target: ResourceType?
        if value == "*" {
            parameters = types.flatMap { table.references(of: $0) }
        } else {
            (_, parameters, target) = try includeParts(name, value)
            if let target, !allows(target) { throw Self.forbidden(target, in: name) }
        }
        var closed: Set<ResourceType> = []
        var isOpen = false
        for parameter in parameters {
            let targets = parameter.targets.isEmpty ? definitions.types : parameter.targets
            let wanted = target.map { [$0] } ?? targets
            let permitted = wanted.filter(allows)
            guard !permitted.isEmpty else {
                closed.formUnion(wanted)
                continue
            }
            isOpen = true
            includes.append(
                SearchPlan.Include(
                    parameters: [parameter.id], targets: permitted.map(\.code), reverse: false, iterates: iterates,
                    canonical: table.canonical([parameter.id], to: permitted)))
        }
        if !isOpen, !closed.isEmpty {
            warnings.append(Self.forbidden(all: definitions.types.filter(closed.contains), in: name, value))
        }
    }

    private mutating func addReverseInclude(_ name: String, _ value: String) throws(SearchError) {
        let iterates = name.hasSuffix(":iterate")
        let (source, named, target) = try includeParts(name, value)
        guard allows(source) else { throw Self.forbidden(source, in: name) }
        guard !source.isAuditEvent else { throw Self.auditStandsAlone(name) }
        // Of all references of a type, those that can lead to what is searched.
        let leading = named.filter { parameter in
            iterates || parameter.targets.isEmpty || parameter.targets.contains(where: types.contains)
        }
        for parameter in leading.isEmpty ? named : leading {
            let targets = parameter.targets.isEmpty ? definitions.types : parameter.targets
            // With :iterate the referred resource may itself be an included one.
            let reachable = target.map { [$0] } ?? (iterates ? targets : targets.filter(types.contains))
            guard iterates || reachable.contains(where: types.contains) else {
                throw SearchError(
                    .value, "'\(name)=\(value)' does not refer to the searched type.", parameter: name,
                    validNames: targets.map(\.name))
            }
            includes.append(
                SearchPlan.Include(
                    parameters: [parameter.id], targets: reachable.map(\.code), reverse: true, iterates: iterates,
                    canonical: table.canonical([parameter.id], to: reachable)))
        }
    }

    private func includeParts(_ name: String, _ value: String) throws(SearchError)
        -> (ResourceType, [SearchParameter], ResourceType?)
    {
        let parts = value.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count) else {
            throw SearchError(
                .value, "'\(name)' takes 'Type:parameter' or 'Type:parameter:Target', not '\(value)'.",
                parameter: name)
        }
        guard let type = ResourceType.named(parts[0]) else {
            throw SearchError(.unknown, "'\(parts[0])' is not a resource type of FHIR R4.", parameter: name)
        }
        let references = table.references(of: type)
        if parts[1] == "*", parts.count == 2 { return (type, references, nil) }
        guard let parameter = references.first(where: { $0.code == parts[1] }) else {
            throw SearchError(
                .unknown, "'\(parts[1])' is not a reference search parameter of \(type.name).", parameter: name,
                validNames: references.map(\.code))
        }
        guard parts.count == 3 else { return (type, [parameter], nil) }
        guard let target = ResourceType.named(parts[2]),
            parameter.targets.isEmpty || parameter.targets.contains(target)
        else {
            throw SearchError(
                .value, "'\(parts[1])' of \(type.name) does not refer to '\(parts[2])'.", parameter: name,
                validNames: parameter.targets.map(\.name))
        }
        return (type, [parameter], target)
    }
}
