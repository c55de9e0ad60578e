import PostgresDriver

/// Writes the SQL of a plan.
///
/// A positive condition becomes a set of row ids that one side-table index delivers in order; the first such set drives
/// the statement and the others are semi-joins, so that the planner may still begin with any of them. Index rows exist
/// only for resources that are not deleted and parameter ids belong to one type, so `fhir.resource` is read for the
/// rows of the page alone.
struct SearchCompiler {
    let plan: SearchPlan
    var bindings = SearchBindings()

    init(plan: SearchPlan) {
        self.plan = plan
    }

    /// How many resources match.
    consuming func count() -> SearchStatement {
        let base = base(order: nil)
        return SearchStatement(sql: "select count(*) from (\(base)) c", values: bindings.values)
    }

    /// The first matches: rid, id, version. Order: rid.
    consuming func matches(limit: Int) -> SearchStatement {
        let base = base(order: "d.rid")
        let sql = """
            select r.rid, r.id, r.version
            from (\(base) limit \(bindings.bind(.int8(Int64(limit))))) p
            join fhir.resource r on r.rid = p.rid and not r.deleted
            order by r.rid
            """
        return SearchStatement(sql: sql, values: bindings.values)
    }

    /// The row ids that match, once each.
    ///
    /// - Parameter order: Columns of `d` to order by, or nil.
    /// - Parameter condition: What must hold besides, over `d.rid`.
    mutating func base(order: String?, and condition: String? = nil) -> String {
        var filters = plan.filters
        var sql: String
        var conditions: [String] = []
        let rowsAreResources: Bool
        if let driver = driverIndex(filters), let set = rowSet(filters[driver]) {
            filters.remove(at: driver)
            sql = "select distinct d.rid from (\(set)) d"
            rowsAreResources = false
        } else {
            sql = "select d.rid from fhir.resource d"
            conditions.append(bindings.equals("d.type", types: plan.types.map(\.code)))
            conditions.append("not d.deleted")
            rowsAreResources = true
        }
        for filter in filters { conditions.append(self.condition(filter, on: "d", isResource: rowsAreResources)) }
        if let condition { conditions.append(condition) }
        if !conditions.isEmpty { sql += " where " + conditions.joined(separator: " and ") }
        if let order { sql += " order by " + order }
        return sql
    }

    /// The condition that is likely to leave the fewest rows.
    private func driverIndex(_ filters: [SearchFilter]) -> Int? {
        let ranked = filters.enumerated().compactMap { index, filter in rank(filter).map { ($0, index) } }
        return ranked.min { $0.0 < $1.0 }?.1
    }

    /// Lower is better; nil when the condition has no set of its own.
    private func rank(_ filter: SearchFilter) -> Int? {
        switch filter {
        case .id: 0
        case .any(let filter):
            switch filter.table {
            case .reference: 2
            case .uri: 3
            case .string: 4
            case .token: 5
            case .quantity: 7
            case .date: 8
            }
        case .compartment: 1
        case .chain: 6
        case .referredToBy: 9
        case .present(_, _, true): 10
        case .present, .none, .lastUpdated: nil
        }
    }
}
