// Conditions: names with modifiers and chains.

extension SearchPlanner {
    /// A condition of the form `code[:modifier]=values` or `code[:Type].code[:modifier]=values`.
    mutating func condition(_ name: String, _ value: String, on types: [ResourceType]) throws(SearchError)
        -> SearchFilter
    {
        if let dot = name.firstIndex(of: ".") {
            return try chain(String(name[..<dot]), String(name[name.index(after: dot)...]), name, value, on: types)
        }
        let (code, modifier) = Self.parts(name)
        guard let parameter = table.parameter(code, of: types) else { throw unknown(code, as: name, on: types) }
        return try filter(parameter, modifier, value, written: name)
    }

    /// Splits `code:modifier`.
    private static func parts(_ name: String) -> (code: String, modifier: String?) {
        guard let colon = name.firstIndex(of: ":") else { return (name, nil) }
        return (String(name[..<colon]), String(name[name.index(after: colon)...]))
    }

    private func unknown(_ code: String, as name: String, on types: [ResourceType]) -> SearchError {
        let place = types.count == 1 ? types[0].name : "all of the searched types"
        return SearchError(
            .unknown, "'\(code)' is not a search parameter of \(place).", parameter: name,
            validNames: table.names(of: types) + (request.type == nil ? ["_type"] : []))
    }

    /// `subject:Patient.name=x` and `subject.name=x`: one hop.
    private mutating func chain(
        _ link: String, _ rest: String, _ name: String, _ value: String, on types: [ResourceType]
    ) throws(SearchError) -> SearchFilter {
        guard !rest.contains(".") else {
            throw SearchError(.unsupported, "'\(name)' has more than one hop; a chain has one.", parameter: name)
        }
        let (code, typeName) = Self.parts(link)
        guard let parameter = table.parameter(code, of: types) else { throw unknown(code, as: name, on: types) }
        guard parameter.kind == .indexed(.reference) else {
            throw SearchError(
                .unsupported, "'\(name)' chains through '\(code)', which is a \(parameter.kindName), not a reference.",
                parameter: name)
        }
        var targets = parameter.targets.isEmpty ? definitions.types : parameter.targets
        if let typeName {
            guard let target = ResourceType.named(typeName), targets.contains(target) else {
                throw SearchError(
                    .value, "'\(code)' does not refer to '\(typeName)'.", parameter: name,
                    validNames: targets.map(\.name))
            }
            guard allows(target) else { throw Self.forbidden(target, in: name) }
            guard !target.isAuditEvent else { throw Self.auditStandsAlone(name) }
            targets = [target]
        }
        let (targetCode, _) = Self.parts(rest)
        guard targetCode != "_has" else {
            throw SearchError(.unsupported, "'\(name)' has more than one hop; a chain has one.", parameter: name)
        }
        let defining = targets.filter { table.parameter(targetCode, of: [$0]) != nil && !$0.isAuditEvent }
        guard !defining.isEmpty else {
            guard typeName == nil else { throw unknown(targetCode, as: name, on: targets) }
            throw SearchError(
                .unknown, "No type that '\(code)' refers to has the search parameter '\(targetCode)'.",
                parameter: name, validNames: Set(targets.flatMap { table.names(of: [$0]) }).sorted())
        }
        let permitted = defining.filter(allows)
        guard !permitted.isEmpty else { throw Self.forbidden(all: defining, in: name) }
        var branches: [ChainBranch] = []
        var failure: SearchError?
        for target in permitted {
            // Kinds differ between types (for example `date`), so a value may fit one and not another.
            do {
                branches.append(
                    ChainBranch(
                        type: target.code, filter: try condition(rest, value, on: [target]),
                        canonical: table.canonical(parameter.ids, to: [target])))
            } catch { failure = SearchError(error.code, error.diagnostics, parameter: name) }
        }
        if branches.isEmpty, let failure { throw failure }
        return .chain(parameters: parameter.ids, branches: branches)
    }

    /// `_has:Observation:patient:code=x`: one hop.
    mutating func reverseChain(_ name: String, _ value: String) throws(SearchError) -> SearchFilter {
        let parts = name.split(separator: ":", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 4, parts[0] == "_has", parts.allSatisfy({ !$0.isEmpty }) else {
            throw SearchError(
                .value, "'\(name)' is not of the form '_has:Type:reference:parameter'.", parameter: name)
        }
        guard let source = ResourceType.named(parts[1]) else {
            throw SearchError(.unknown, "'\(parts[1])' is not a resource type of FHIR R4.", parameter: name)
        }
        guard allows(source) else { throw Self.forbidden(source, in: name) }
        guard !source.isAuditEvent else { throw Self.auditStandsAlone(name) }
        guard !parts[3].contains("."), !parts[3].hasPrefix("_has") else {
            throw SearchError(.unsupported, "'\(name)' has more than one hop; '_has' has one.", parameter: name)
        }
        guard let reference = definitions.parameter(source, parts[2]), reference.kind == .reference else {
            throw SearchError(
                .unknown, "'\(parts[2])' is not a reference search parameter of \(source.name).", parameter: name,
                validNames: table.references(of: source).map(\.code))
        }
        guard reference.targets.isEmpty || types.contains(where: reference.targets.contains) else {
            throw SearchError(
                .value, "'\(parts[2])' of \(source.name) does not refer to the searched type.", parameter: name,
                validNames: reference.targets.map(\.name))
        }
        let inner = try condition(parts[3], value, on: [source])
        let targets = reference.targets.isEmpty ? types : types.filter(reference.targets.contains)
        return .referredToBy(
            parameter: reference.id, inner, sourceType: source.code,
            canonical: table.canonical([reference.id], to: targets))
    }

    /// The filter of one parameter with its values.
    private mutating func filter(
        _ parameter: DeclaredParameter, _ modifier: String?, _ value: String, written name: String
    ) throws(SearchError) -> SearchFilter {
        if let modifier, !parameter.modifiers.contains(modifier),
            !(parameter.kind == .indexed(.reference) && ResourceType.named(modifier) != nil)
        {
            throw SearchError(
                .unsupported,
                "The modifier ':\(modifier)' is not served for '\(parameter.name)', which is a \(parameter.kindName).",
                parameter: name,
                validNames: parameter.modifiers.map { ":" + $0 }
                    + (parameter.kind == .indexed(.reference) ? [":Type"] : []))
        }
        if modifier == "missing" { return try missing(parameter, value, name) }
        let values = SearchText.split(value, at: UInt8(ascii: ","))
        alternatives += values.count
        guard values.allSatisfy({ !$0.isEmpty }) else {
            throw SearchError(.value, "'\(name)' has an empty value between commas.", parameter: name)
        }
        let parser = SearchValueParser(
            parameter: parameter, written: name, baseURL: request.baseURL, anyType: definitions.types)
        switch parameter.kind {
        case .id: return .id(try parser.ids(values))
        case .lastUpdated:
            var tests: [DateTest] = []
            for value in values { tests.append(try parser.date(value)) }
            return .lastUpdated(tests)
        case .indexed(let kind):
            var tests: [IndexTest] = []
            for value in values { tests.append(try parser.test(value, kind, modifier)) }
            let filter = IndexFilter(table: Self.table(kind, modifier), parameters: parameter.ids, tests: tests)
            return modifier == "not" ? .none(filter) : .any(filter)
        }
    }

    private func missing(_ parameter: DeclaredParameter, _ value: String, _ name: String) throws(SearchError)
        -> SearchFilter
    {
        guard value == "true" || value == "false" else {
            throw SearchError(.value, "'\(name)' takes 'true' or 'false', not '\(value)'.", parameter: name)
        }
        guard case .indexed(let kind) = parameter.kind else { throw unknown(name, as: name, on: types) }
        let tables: [IndexTable] =
            switch kind {
            // A coding with only a text, a reference with only an identifier.
            case .token: [.token, .string]
            case .reference: [.reference, .token]
            default: [Self.table(kind, nil)]
            }
        return .present(tables: tables, parameters: parameter.ids, value == "false")
    }

    /// Where the rows of a kind of parameter are.
    static func table(_ kind: SearchParameter.Kind, _ modifier: String?) -> IndexTable {
        switch kind {
        case .token: modifier == "text" ? .string : .token
        case .string: .string
        case .date: .date
        case .reference: modifier == "identifier" ? .token : .reference
        case .quantity, .number: .quantity
        case .uri: .uri
        }
    }
}
