import PostgresDriver

/// Writes the SQL of a plan over AuditEvent: conditions on the rows of `audit.event` and of `audit.read_event`, where reads
/// by id are.
struct AuditCompiler {
    private let plan: SearchPlan
    private let definitions: Definitions
    /// For the values, and for conditions on resources at the other end of a reference.
    private var compiler: SearchCompiler
    private let auditEvent: Int16

    init(plan: SearchPlan, definitions: Definitions) {
        self.plan = plan
        self.definitions = definitions
        compiler = SearchCompiler(plan: plan)
        auditEvent = plan.types.first?.code ?? 0
    }

    consuming func count() -> SearchStatement {
        let rows = conditions()
        let batches = batchConditions(after: nil)
        return SearchStatement(
            sql: """
                select (select count(*) from audit.event e where \(rows)) \
                + (select count(*) from audit.read_event e where \(rows)\(batches))
                """, values: compiler.bindings.values)
    }

    /// The columns of `AuditRow`, then the sort values as text.
    ///
    /// Both kinds of rows give their first ones in order, so that neither is read to its end for a page.
    consuming func page(after position: SearchPosition?, limit: Int) -> SearchStatement {
        var conditions = conditions()
        let keys = plan.sort.map {
            SearchCompiler.Key(
                expression: expression($0), type: keyType($0), descending: $0.descending, nullable: isNullable($0))
        }
        if let position { conditions += " and " + compiler.after(position, keys, rid: "e.seq") }
        let batches = batchConditions(after: position)
        let columns = keys.enumerated().map { ", \($1.expression) as k\($0)" }.joined()
        func order(_ expressions: [String], _ last: [String]) -> String {
            let keys = zip(expressions, keys).map {
                "\($0)\($1.descending ? " desc" : "")\($1.nullable ? " nulls last" : "")"
            }
            return (keys + last.map { $0 + (compiler.ridDescends ? " desc" : "") }).joined(separator: ", ")
        }
        let limit = compiler.bindings.bind(.int8(Int64(limit)))
        func rows(_ table: String, _ more: String, _ last: [String]) -> String {
            """
            (select \(AuditRow.columns)\(columns) from \(table) e where \(conditions)\(more) \
            order by \(order(keys.map(\.expression), last)) limit \(limit))
            """
        }
        let names = keys.indices.map { "e.k\($0)" }
        let sql = """
            select \(AuditRow.columns)\(names.map { ", \($0)::text" }.joined())
            from (\(rows("audit.event", "", ["e.seq"]))
            union all \(rows("audit.read_event", batches, ["e.batch", "e.seq"]))) e
            order by \(order(names, ["e.seq"]))
            limit \(limit)
            """
        return SearchStatement(sql: sql, values: compiler.bindings.values)
    }

    private mutating func conditions() -> String {
        var all: [String] = []
        for filter in plan.filters { all.append(condition(filter)) }
        return all.isEmpty ? "true" : all.joined(separator: " and ")
    }

    /// What the conditions on reads say of their batches, for the indexes of `audit.read_batch`. Times need nothing: they
    /// are the batch's own.
    private mutating func batchConditions(after position: SearchPosition?) -> String {
        var all: [String] = []
        for filter in plan.filters {
            switch filter {
            case .id(let ids):
                let batches = ids.compactMap(AuditRow.sequence(ofID:)).map { $0 & -64 }
                all.append("e.batch = any(\(compiler.bindings.bind(.int8Array(batches))))")
            case .any(let filter) where code(filter.parameters) == "patient":
                var ids: [String] = []
                for test in filter.tests {
                    if case .reference(_, let id) = test { ids.append(id) }
                }
                if ids.count == filter.tests.count { all.append(batchHolds(ids)) }
            case .compartment(let parameters, let type, let id, _)
            where ResourceType[type]?.name == "Patient" && parameters.allSatisfy { code([$0]) == "patient" }:
                all.append(batchHolds([id]))
            case .any, .none, .lastUpdated, .present, .chain, .referredToBy, .compartment: break
            }
        }
        if let position {
            let sign = compiler.ridDescends ? "<=" : ">="
            if plan.sort.isEmpty {
                all.append("e.batch \(sign) \(AuditRow.batch(of: compiler.bindings.bind(.int8(position.rid))))")
            } else if !isNullable(plan.sort[0]), plan.sort[0].source != .id, let time = position.keys.first ?? nil {
                all.append("e.recorded \(sign) \(compiler.bindings.bind(.text(time)))::text::timestamptz")
            }
        }
        return all.map { " and " + $0 }.joined()
    }

    private mutating func batchHolds(_ patients: [String]) -> String {
        "e.batch_patients && \(compiler.bindings.bind(.textArray(patients)))"
    }

    private mutating func condition(_ filter: SearchFilter) -> String {
        switch filter {
        case .id(let ids):
            return "e.seq = any(\(compiler.bindings.bind(.int8Array(ids.compactMap(AuditRow.sequence(ofID:))))))"
        case .lastUpdated(let tests): return compiler.point(tests, column: "e.recorded")
        case .any(let filter): return matches(filter)
        case .none(let filter): return "(\(matches(filter))) is not true"
        case .present(_, let parameters, let present):
            return "(\(presence(code(parameters))))\(present ? "" : " is not true")"
        case .chain(let parameters, let branches):
            let links = AuditColumns.references(code(parameters))
            return any(branches.map { chain(links, $0) })
        case .referredToBy(let parameter, let inner, let sourceType, _):
            let targets = compiler.referringTargets(parameter, [auditEvent], inner, sourceType)
            return "'audit-' || e.seq in (select g.target_id from (\(targets)) g)"
        case .compartment(let parameters, let type, let id, _):
            let test = IndexTest.reference(types: [type], id: id)
            return any(
                parameters.map { matches(IndexFilter(table: .reference, parameters: [$0], tests: [test])) })
        }
    }

    private func code(_ parameters: [Int32]) -> String {
        parameters.first.flatMap(definitions.parameter(id:))?.code ?? ""
    }

    private func any(_ conditions: [String]) -> String {
        conditions.isEmpty ? "false" : "(" + conditions.joined(separator: " or ") + ")"
    }

    // MARK: Values

    private mutating func matches(_ filter: IndexFilter) -> String {
        let parameter = code(filter.parameters)
        var conditions: [String] = []
        for test in filter.tests { conditions.append(matches(test, parameter)) }
        return any(conditions)
    }

    private mutating func matches(_ test: IndexTest, _ parameter: String) -> String {
        switch test {
        case .token(let system, let code):
            var found: [String] = []
            for token in AuditColumns.tokens(parameter) where system == nil || system == token.system {
                found.append(
                    code.map { "\(token.code) = \(compiler.bindings.bind(.text($0)))" } ?? "\(token.code) is not null")
            }
            for column in AuditColumns.identifiers(parameter) where system == nil || system == "" {
                found.append(code.map { "\(column) = \(compiler.bindings.bind(.text($0)))" } ?? "\(column) is not null")
            }
            return any(found)
        case .prefix(let text):
            return texts(parameter, text, isDisplay: { $0.hasPrefix(text) }, sql: { "starts_with(\($0), \($1))" })
        case .contains(let text):
            return texts(parameter, text, isDisplay: { $0.contains(text) }, sql: { "strpos(\($0), \($1)) > 0" })
        case .exact(_, let value):
            // Of the displays only our address is searched exactly.
            let isOurs = parameter == "address" && value == plan.baseURL
            return texts(parameter, value, isDisplay: { _ in isOurs }, sql: { "\($0) = \($1)" })
        case .date(let date): return compiler.point([date], column: "e.recorded")
        case .reference(let types, let id):
            return any(AuditColumns.references(parameter).map { refers($0, types, .value(id)) })
        case .canonical(let url):
            return parameter == "agent" ? "e.practitioner = \(compiler.bindings.bind(.text(url)))" : "false"
        case .uri(let url):
            return parameter == "_profile" ? "\(AuditColumns.profile) = \(compiler.bindings.bind(.text(url)))" : "false"
        case .number, .quantity: return "false"
        }
    }

    /// The texts of a parameter: the network address, or the displays of a token.
    private mutating func texts(
        _ parameter: String, _ text: String, isDisplay: (String) -> Bool, sql: (String, String) -> String
    ) -> String {
        if parameter == "address" {
            let sender = sql("lower(e.source)", compiler.bindings.bind(.text(text)))
            // The other agent is this server.
            return isDisplay(TextFolding.folded(plan.baseURL)) ? "true" : sender
        }
        return any(
            AuditColumns.tokens(parameter).map { token in
                guard let display = token.display else {
                    return sql("lower(\(token.code))", compiler.bindings.bind(.text(text)))
                }
                return isDisplay(TextFolding.folded(display)) ? "\(token.code) is not null" : "false"
            })
    }

    private enum Target {
        case value(String)
        /// A column.
        case column(String)
    }

    private mutating func refers(_ reference: AuditColumns.Reference, _ types: [Int16], _ target: Target) -> String {
        let id =
            switch target {
            case .value(let id): compiler.bindings.bind(.text(id))
            case .column(let column): column
            }
        switch reference {
        case .patient:
            let isPatient = types.contains { ResourceType[$0]?.name == "Patient" }
            return isPatient ? "e.patient = \(id)" : "false"
        case .resource: return "(\(compiler.bindings.equals("e.type", types: types)) and e.resource_id = \(id))"
        case .practitioner:
            let names = compiler.bindings.bind(.textArray(types.compactMap { ResourceType[$0]?.name }))
            return
                "(\(AuditColumns.isReference) and e.practitioner in (select n || '/' || \(id) from unnest(\(names)) n))"
        }
    }

    private mutating func chain(_ links: [AuditColumns.Reference], _ branch: ChainBranch) -> String {
        let type = compiler.bindings.bind(.int2(branch.type))
        let inner = compiler.condition(branch.filter, on: "t", isResource: true)
        let link = any(links.map { refers($0, [branch.type], .column("t.id")) })
        return
            "exists (select 1 from fhir.resource t where t.type = \(type) and not t.deleted and \(inner) and \(link))"
    }

    /// Whether the event has any value of a parameter.
    private func presence(_ parameter: String) -> String {
        var found = AuditColumns.tokens(parameter).map { "\($0.code) is not null" }
        found += AuditColumns.identifiers(parameter).map { "\($0) is not null" }
        for reference in AuditColumns.references(parameter) {
            switch reference {
            case .patient: found.append("e.patient is not null")
            case .resource: found.append(AuditColumns.isResource)
            case .practitioner: found.append("e.practitioner is not null")
            }
        }
        switch parameter {
        // An observer and an address of ours are in every event.
        case "date", "_profile", "address", "source": found.append("true")
        case "entity": found.append("e.query is not null")
        default: break
        }
        return any(found)
    }

    // MARK: Order

    private func expression(_ key: SearchPlan.SortKey) -> String {
        guard case .index(let table, let parameters) = key.source else {
            return key.source == .id ? "e.seq" : "e.recorded"
        }
        let parameter = code(parameters)
        switch table {
        case .date: return "e.recorded"
        case .token:
            let codes = AuditColumns.tokens(parameter).map(\.code)
            guard !codes.isEmpty else { return "null::text" }
            return "\(key.descending ? "greatest" : "least")(\(codes.joined(separator: ", ")))"
        case .reference:
            switch AuditColumns.references(parameter).last {
            case .patient: return "e.patient"
            case .resource: return "coalesce(e.resource_id, e.patient)"
            case .practitioner: return "case when \(AuditColumns.isReference) then e.practitioner end"
            case nil: return "null::text"
            }
        case .string: return parameter == "address" ? "e.source" : "null::text"
        case .uri: return parameter == "_profile" ? AuditColumns.profile : "null::text"
        case .quantity: return "null::text"
        }
    }

    private func isNullable(_ key: SearchPlan.SortKey) -> Bool {
        guard case .index(let table, _) = key.source else { return false }
        return table != .date
    }

    private func keyType(_ key: SearchPlan.SortKey) -> String {
        key.source == .id ? "int8" : isNullable(key) ? "text" : "timestamptz"
    }
}
