import PostgresDriver

/// Where a page begins: after the row with these sort values.
struct SearchPosition: Sendable, Hashable {
    /// The text of each sort value; nil when the row has none.
    var keys: [String?]
    var rid: Int64
}

extension SearchCompiler {
    /// One page: rid, type, id, version, last_updated, content, then the sort values as text.
    ///
    /// Without `_sort` the order is the rid. When the first key is in an index table, that table is read in its order
    /// (rows without a value follow in a second part), so that a page of many matches ends early.
    consuming func page(after position: SearchPosition?, limit: Int) -> SearchStatement {
        let limit = bindings.bind(.int8(Int64(limit)))
        let rows: String
        switch plan.sort.first?.source {
        case nil:
            let start = position.map { "d.rid > \(bindings.bind(.int8($0.rid)))" }
            rows = base(order: "d.rid", and: start) + " limit \(limit)"
        case .id, .lastUpdated:
            rows = part(.resource, after: position, limit)
        case .index(let table, let parameters):
            if let position, position.keys.first == .some(nil) {
                rows = part(.missing(table, parameters), after: position, limit)
            } else {
                let valued = part(.index(table, parameters), after: position, limit)
                if plan.filters.contains(where: { Self.row($0, of: table, parameters) != nil }) {
                    // What has no value does not match.
                    rows = valued
                } else {
                    // Parts are read one after the other, the second only when the first does not fill the page.
                    let missing = part(.missing(table, parameters), after: nil, limit)
                    rows = "(\(valued)) union all (\(missing)) limit \(limit)"
                }
            }
        }
        let keys = plan.sort.indices.map { ", p.k\($0)::text" }.joined()
        let order = plan.sort.indices.map { "p.k\($0)\(plan.sort[$0].descending ? " desc" : "") nulls last, " }.joined()
        let sql = """
            select r.rid, r.type, r.id, r.version, r.last_updated, r.content\(keys)
            from (\(rows)) p
            join fhir.resource r on r.rid = p.rid
            order by \(order)p.rid\(ridDescends ? " desc" : "")
            """
        return SearchStatement(sql: sql, values: bindings.values)
    }

    /// Equal sort values are ordered by rid in the direction of the first key, as the index has them.
    var ridDescends: Bool { plan.sort.first?.descending ?? false }

    private enum Part {
        /// All matches, by a column of `fhir.resource`.
        case resource
        /// Matches with a value of the first key.
        case index(IndexTable, [Int32])
        /// Matches without.
        case missing(IndexTable, [Int32])
    }

    /// A sort value in SQL.
    struct Key {
        let expression: String
        let type: String
        let descending: Bool
        let nullable: Bool
    }

    private mutating func part(_ part: Part, after position: SearchPosition?, _ limit: String) -> String {
        var from: String
        var conditions: [String] = []
        var keys: [Key] = []
        let alias: String
        let first = plan.sort[0]
        switch part {
        case .resource:
            alias = "d"
            from = "fhir.resource d"
            conditions.append(bindings.equals("d.type", types: plan.types.map(\.code)))
            conditions.append("not d.deleted")
            let isID = first.source == .id
            keys.append(
                Key(
                    expression: isID ? "d.id" : "d.last_updated", type: isID ? "text" : "timestamptz",
                    descending: first.descending, nullable: false))
        case .index(let table, let parameters):
            alias = "x"
            from = "\(table.name) x"
            conditions.append(bindings.equals("x.param", parameters))
            let column = Self.sortColumn(table, of: "x", first.descending)
            if !first.isSingle {
                let other = Self.sortColumn(table, of: "o", first.descending)
                // A resource with several values stands at the first one in the order.
                conditions.append(
                    "not exists (select 1 from \(table.name) o where o.rid = x.rid and o.param = x.param "
                        + "and (\(other), o.ctid) \(first.descending ? ">" : "<") (\(column), x.ctid))")
            }
            keys.append(
                Key(
                    expression: column, type: Self.sortType(table), descending: first.descending, nullable: false))
        case .missing(let table, let parameters):
            alias = "b"
            from = "(\(base(order: nil))) b"
            let parameter = bindings.equals("o.param", parameters)
            conditions.append("not exists (select 1 from \(table.name) o where o.rid = b.rid and \(parameter))")
        }
        if case .missing = part {
        } else {
            let isResource = alias == "d"
            for filter in plan.filters {
                if case .index(let table, let parameters) = part, first.isSingle,
                    let own = Self.row(filter, of: table, parameters)
                {
                    conditions.append(onRow(own))
                } else {
                    conditions.append(condition(filter, on: alias, isResource: isResource))
                }
            }
        }
        var selected = keys.map(\.expression)
        if case .missing(let table, _) = part { selected = ["null::\(Self.sortType(table))"] }
        for (index, key) in plan.sort.enumerated().dropFirst() {
            let (join, key) = laterKey(key, index, of: alias)
            from += join
            keys.append(key)
            selected.append(key.expression)
        }
        if let position { conditions.append(after(position, keys, rid: alias + ".rid")) }
        let columns = selected.enumerated().map { ", \($1) as k\($0)" }.joined()
        let order = keys.map { "\($0.expression)\($0.descending ? " desc" : "")\($0.nullable ? " nulls last" : "")" }
        // The plain order of a column that is never null is the index's order, nulls clause left out.
        return """
            select \(alias).rid\(columns) from \(from) where \(conditions.joined(separator: " and ")) \
            order by \((order + ["\(alias).rid\(ridDescends ? " desc" : "")"]).joined(separator: ", ")) limit \(limit)
            """
    }

    /// The filter when it asks for a value of these parameters.
    private static func row(_ filter: SearchFilter, of table: IndexTable, _ parameters: [Int32]) -> IndexFilter? {
        guard case .any(let own) = filter, own.table == table, own.parameters == parameters else { return nil }
        return own
    }

    /// A key behind the first: looked up for each row that gets that far.
    private mutating func laterKey(_ key: SearchPlan.SortKey, _ index: Int, of alias: String) -> (String, Key) {
        let name = "s\(index)"
        switch key.source {
        case .id, .lastUpdated:
            let isID = key.source == .id
            return (
                " join fhir.resource \(name) on \(name).rid = \(alias).rid",
                Key(
                    expression: isID ? "\(name).id" : "\(name).last_updated", type: isID ? "text" : "timestamptz",
                    descending: key.descending, nullable: false)
            )
        case .index(let table, let parameters):
            let value = "\(key.descending ? "max" : "min")(\(Self.sortColumn(table, of: "o", key.descending)))"
            let parameter = bindings.equals("o.param", parameters)
            return (
                " left join lateral (select \(value) as v from \(table.name) o "
                    + "where o.rid = \(alias).rid and \(parameter)) \(name) on true",
                Key(
                    expression: "\(name).v", type: Self.sortType(table), descending: key.descending, nullable: true)
            )
        }
    }

    /// The rows behind a position.
    mutating func after(_ position: SearchPosition, _ keys: [Key], rid column: String) -> String {
        let rid = bindings.bind(.int8(position.rid))
        // A part without a first key has the later ones only.
        let values = position.keys.suffix(keys.count).map { $0 }
        let beyondRID = "\(column) \(ridDescends ? "<" : ">") \(rid)"
        // One comparison of rows, where the index is in that order.
        if keys.count == 1, let key = keys.first, !key.nullable, key.descending == ridDescends,
            let value = values.first ?? nil
        {
            let value = bindings.bind(.text(value))
            return
                "(\(key.expression), \(column)) \(key.descending ? "<" : ">") (\(value)::text::\(key.type), \(rid))"
        }
        var result = beyondRID
        for (index, key) in keys.enumerated().reversed() {
            guard index < values.count, let text = values[index] else {
                result = "(\(key.expression) is null and \(result))"
                continue
            }
            let value = "\(bindings.bind(.text(text)))::text::\(key.type)"
            let sign = key.descending ? "<" : ">"
            var alternatives = ["\(key.expression) \(sign) \(value)", "(\(key.expression) = \(value) and \(result))"]
            if key.nullable { alternatives.append("\(key.expression) is null") }
            result = "(" + alternatives.joined(separator: " or ") + ")"
            // One range for the index.
            if index == 0, !key.nullable { result = "\(key.expression) \(sign)= \(value) and \(result)" }
        }
        return result
    }

    /// What rows of an index table are ordered by. Periods: by their begin upwards, by their end downwards. Numbers: by
    /// twice their middle, as the index has it, which is the value itself of one that was written with its digits; what is
    /// open on a side stands at that side.
    private static func sortColumn(_ table: IndexTable, of alias: String, _ descending: Bool) -> String {
        switch table {
        case .token: "\(alias).code"
        case .string: "left(\(alias).folded, 128)"
        case .date: descending ? "\(alias).high" : "\(alias).low"
        case .reference: "\(alias).target_id"
        case .quantity: "(\(alias).low + \(alias).high)"
        case .uri: "\(alias).value"
        }
    }

    private static func sortType(_ table: IndexTable) -> String {
        switch table {
        case .token, .string, .reference, .uri: "text"
        case .date: "timestamptz"
        case .quantity: "numeric"
        }
    }
}
