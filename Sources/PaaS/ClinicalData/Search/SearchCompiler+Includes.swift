import PostgresDriver

extension SearchCompiler {
    /// Resources that the given rows refer to or are referred to by, without those already there: rid, type, id,
    /// version, last_updated, content in the order of rid.
    consuming func included(
        by rows: [Int64], _ includes: [SearchPlan.Include], besides present: [Int64], limit: Int
    ) -> SearchStatement {
        let rows = bindings.bind(.int8Array(rows))
        var arms: [String] = []
        for include in Self.merged(includes) {
            let parameter = bindings.equals("f.param", include.parameters)
            if include.reverse {
                let type = bindings.equals("t.type", types: include.targets)
                arms.append(
                    """
                    select f.rid from fhir.resource t \
                    join fhir.reference f on f.target_type = t.type and f.target_id = t.id \
                    where t.rid = any(\(rows)) and \(type) and \(parameter)
                    """)
                if let link = include.canonical {
                    arms.append("select f.rid from \(canonical(link)) and u.rid = any(\(rows))")
                }
            } else {
                let type = bindings.equals("f.target_type", types: include.targets)
                arms.append(
                    """
                    select t.rid from fhir.reference f \
                    join fhir.resource t on t.type = f.target_type and t.id = f.target_id \
                    where f.rid = any(\(rows)) and \(parameter) and \(type)
                    """)
                if let link = include.canonical {
                    arms.append("select u.rid from \(canonical(link)) and f.rid = any(\(rows))")
                }
            }
        }
        let sql = """
            select r.rid, r.type, r.id, r.version, r.last_updated, r.content
            from (select distinct a.rid from (\(arms.joined(separator: " union all "))) a) i
            join fhir.resource r on r.rid = i.rid
            where not r.deleted and r.rid <> all(\(bindings.bind(.int8Array(present))))
            order by r.rid
            limit \(bindings.bind(.int8(Int64(limit))))
            """
        return SearchStatement(sql: sql, values: bindings.values)
    }

    /// Includes with the same far end become one.
    private static func merged(_ includes: [SearchPlan.Include]) -> [SearchPlan.Include] {
        var result: [SearchPlan.Include] = []
        for include in includes {
            if let index = result.firstIndex(where: {
                $0.targets == include.targets && $0.reverse == include.reverse
                    && ($0.canonical == nil) == (include.canonical == nil)
            }) {
                // The same far end has the same `url` and `version`.
                var link = result[index].canonical
                link?.parameters += include.canonical?.parameters ?? []
                result[index] = SearchPlan.Include(
                    parameters: result[index].parameters + include.parameters, targets: include.targets,
                    reverse: include.reverse, iterates: include.iterates, canonical: link)
            } else {
                result.append(include)
            }
        }
        return result
    }
}
