import PostgresDriver

// Conditions as SQL.

extension SearchCompiler {
    /// A condition over the rows of an alias that has a column `rid`.
    ///
    /// - Parameter isResource: Whether the alias is `fhir.resource`.
    mutating func condition(_ filter: SearchFilter, on alias: String, isResource: Bool) -> String {
        switch filter {
        case .id(let ids) where isResource: return bindings.equals("\(alias).id", ids)
        case .lastUpdated(let tests) where isResource: return lastUpdated(tests, alias)
        case .lastUpdated(let tests):
            return "\(alias).rid in (select u.rid from fhir.resource u where \(lastUpdated(tests, "u")))"
        case .none(let filter):
            return "not exists (select 1 from (\(rows(filter))) n where n.rid = \(alias).rid)"
        case .present(let tables, let parameters, let present):
            let sets = presentSets(tables, parameters)
            if present { return "\(alias).rid in (\(sets.joined(separator: " union all ")))" }
            return sets.map { "not exists (select 1 from (\($0)) n where n.rid = \(alias).rid)" }
                .joined(separator: " and ")
        case .id, .any, .chain, .referredToBy, .compartment:
            return "\(alias).rid in (\(rowSet(filter) ?? "select null::bigint"))"
        }
    }

    /// The row ids that pass a condition, possibly repeated; nil for a condition that is not a set of its own.
    mutating func rowSet(_ filter: SearchFilter) -> String? {
        switch filter {
        case .any(let filter): return rows(filter)
        case .id(let ids):
            let types = bindings.equals("i.type", types: plan.types.map(\.code))
            return "select i.rid from fhir.resource i where \(types) and \(bindings.equals("i.id", ids)) "
                + "and not i.deleted"
        case .present(let tables, let parameters, true):
            return presentSets(tables, parameters).joined(separator: " union all ")
        case .chain(let parameters, let branches):
            return branches.flatMap { [chain(parameters, $0)] + canonicalChain($0) }.joined(separator: " union all ")
        case .referredToBy(let parameter, let inner, let sourceType, let link):
            var sets = [referredToBy(parameter, inner, sourceType)]
            if let link { sets.append(canonicalReferredToBy(link, inner, sourceType)) }
            return sets.joined(separator: " union all ")
        case .compartment(let parameters, let type, let id, let includesItself):
            return compartment(parameters, type, id, includesItself)
        case .none, .present, .lastUpdated: return nil
        }
    }

    private mutating func presentSets(_ tables: [IndexTable], _ parameters: [Int32]) -> [String] {
        let condition = bindings.equals("x.param", parameters)
        return tables.map { "select x.rid from \($0.name) x where \(condition)" }
    }

    /// From the far end: the resources that pass, then the references to them.
    private mutating func chain(_ parameters: [Int32], _ branch: ChainBranch) -> String {
        let type = bindings.bind(.int2(branch.type))
        let parameter = bindings.equals("f.param", parameters)
        let inner = condition(branch.filter, on: "t", isResource: true)
        return """
            select f.rid from fhir.resource t \
            join fhir.reference f on f.target_type = t.type and f.target_id = t.id \
            where t.type = \(type) and f.target_type = \(type) and not t.deleted and \(parameter) and \(inner)
            """
    }

    /// From the referring end: the references of the resources that pass, each target once, then the targets.
    private mutating func referredToBy(_ parameter: Int32, _ inner: SearchFilter, _ sourceType: Int16) -> String {
        let targets = referringTargets(parameter, plan.types.map(\.code), inner, sourceType)
        return """
            select t.rid from (\(targets)) g \
            join fhir.resource t on t.type = g.target_type and t.id = g.target_id and not t.deleted
            """
    }

    /// What the resources of a type that pass refer to by a parameter: target_type, target_id, each once.
    mutating func referringTargets(
        _ parameter: Int32, _ targets: [Int16], _ inner: SearchFilter, _ sourceType: Int16
    ) -> String {
        let types = bindings.equals("f.target_type", types: targets)
        let inner = referring(inner, sourceType)
        return """
            select distinct f.target_type, f.target_id from fhir.reference f \
            where f.param = \(bindings.bind(.int4(parameter))) and \(types) and \(inner)
            """
    }

    /// A condition on the resource at the near end of the reference `f`.
    mutating func referring(_ inner: SearchFilter, _ sourceType: Int16) -> String {
        guard case .id(let ids) = inner else { return condition(inner, on: "f", isResource: false) }
        return "f.rid in (select i.rid from fhir.resource i where i.type = \(bindings.bind(.int2(sourceType))) "
            + "and \(bindings.equals("i.id", ids)))"
    }

    private mutating func compartment(
        _ parameters: [Int32], _ type: Int16, _ id: String, _ includesItself: Bool
    ) -> String {
        let (type, id) = (bindings.bind(.int2(type)), bindings.bind(.text(id)))
        var sets: [String] = []
        if !parameters.isEmpty {
            sets.append(
                "select f.rid from fhir.reference f where \(bindings.equals("f.param", parameters)) "
                    + "and f.target_type = \(type) and f.target_id = \(id)")
        }
        if includesItself || sets.isEmpty {
            sets.append(
                "select t.rid from fhir.resource t where t.type = \(type) and t.id = \(id) and not t.deleted")
        }
        return sets.joined(separator: " union all ")
    }

    // MARK: Index rows

    /// The row ids of an index filter: one select for each shape of test, so that each keeps its index condition.
    mutating func rows(_ filter: IndexFilter) -> String {
        let parameter = bindings.equals("x.param", filter.parameters)
        let parts = arms(filter.tests)
        let others = filter.others.map { " and " + onRow($0) }.joined()
        return parts.map { arm in
            "select x.rid from \(arm.joining)\(filter.table.name) x where \(parameter) and \(arm.condition)\(others)"
        }.joined(separator: " union all ")
    }

    /// A filter as a condition on the row `x` of its table and parameters, which is the only one of its resource.
    mutating func onRow(_ filter: IndexFilter) -> String {
        ([filter.tests] + filter.others).map { onRow($0) }.joined(separator: " and ")
    }

    private mutating func onRow(_ tests: [IndexTest]) -> String {
        "(" + arms(tests).map(\.condition).joined(separator: " or ") + ")"
    }

    private struct Arm {
        /// Something that `x` is joined to, with its comma.
        var joining = ""
        let condition: String
    }

    private mutating func arms(_ tests: [IndexTest]) -> [Arm] {
        var arms: [Arm] = []
        var codes: [String] = []
        var systems: [String] = []
        var pairs: [(code: String, system: String)] = []
        var targets: [[Int16]: [String]] = [:]
        var values: [String] = []
        var others: [String] = []
        for test in tests {
            switch test {
            case .token(nil, let code?): codes.append(code)
            case .token(let system?, nil): systems.append(system)
            case .token(let system?, let code?): pairs.append((code, system))
            case .token(nil, nil): break
            case .reference(let types, let id): targets[types, default: []].append(id)
            case .uri(let value): values.append(value)
            default: others.append(comparison(test))
            }
        }
        if !codes.isEmpty { arms.append(Arm(condition: bindings.equals("x.code", codes))) }
        if !systems.isEmpty { arms.append(Arm(condition: bindings.equals("x.system", systems))) }
        if pairs.count == 1, let pair = pairs.first {
            arms.append(
                Arm(
                    condition:
                        "x.code = \(bindings.bind(.text(pair.code))) and x.system = \(bindings.bind(.text(pair.system)))"
                ))
        } else if !pairs.isEmpty {
            let codes = bindings.bind(.textArray(pairs.map(\.code)))
            let systems = bindings.bind(.textArray(pairs.map(\.system)))
            arms.append(
                Arm(
                    joining: "unnest(\(codes)::text[], \(systems)::text[]) as v(code, system), ",
                    condition: "x.code = v.code and x.system = v.system"))
        }
        for (types, ids) in targets.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            let type = bindings.equals("x.target_type", types: types)
            arms.append(Arm(condition: "\(bindings.equals("x.target_id", ids)) and \(type)"))
        }
        if !values.isEmpty { arms.append(Arm(condition: bindings.equals("x.value", values))) }
        if !others.isEmpty {
            arms.append(Arm(condition: others.count == 1 ? others[0] : "(" + others.joined(separator: " or ") + ")"))
        }
        return arms
    }

    private mutating func comparison(_ test: IndexTest) -> String {
        switch test {
        case .prefix(let folded): return prefix(folded)
        case .contains(let folded): return "strpos(x.folded, \(bindings.bind(.text(folded)))) > 0"
        case .exact(let folded, let value):
            return "left(x.folded, 128) = \(bindings.bind(.text(SearchText.head(folded, 128)))) "
                + "and x.value = \(bindings.bind(.text(value)))"
        case .canonical(let url):
            let url = bindings.bind(.text(url))
            // '}' is the character after '|': every version of the canonical.
            return "(x.target_type = 0 and (x.target_id = \(url) "
                + "or (x.target_id >= \(url) || '|' and x.target_id < \(url) || '}')))"
        case .date(let test): return date(test, low: "x.low", high: "x.high")
        case .number(let test): return number(test)
        case .quantity(let test, let system, let code): return quantity(test, system, code)
        case .token, .reference, .uri: return "false"
        }
    }

    /// A range over the index expression, which holds the first 128 characters, and the rest by the whole text.
    private mutating func prefix(_ folded: String) -> String {
        let head = SearchText.head(folded, 128)
        var conditions: [String] = []
        if head == folded {
            conditions.append("left(x.folded, 128) >= \(bindings.bind(.text(head)))")
            if let upper = SearchText.upperBound(ofPrefix: head) {
                conditions.append("left(x.folded, 128) < \(bindings.bind(.text(upper)))")
            }
        } else {
            conditions.append("left(x.folded, 128) = \(bindings.bind(.text(head)))")
            conditions.append("starts_with(x.folded, \(bindings.bind(.text(folded))))")
        }
        return "(" + conditions.joined(separator: " and ") + ")"
    }
}
