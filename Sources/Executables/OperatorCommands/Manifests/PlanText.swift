import CloudModel
package import TenantManifest

/// A plan for people: a block a tenant, a line a change.
package struct PlanText: Sendable {
    package let plan: SpecificationPlan
    package let usesColor: Bool

    package init(plan: SpecificationPlan, usesColor: Bool) {
        self.plan = plan
        self.usesColor = usesColor
    }

    /// Without the last line end.
    package var text: String {
        guard !plan.isEmpty else { return "Nothing to do: the region is as the manifests say." }
        var lines: [String] = []
        var tenant: TenantID?
        let width = min(plan.changes.map { Self.title($0).count }.max() ?? 0, 44)
        for change in ordered {
            if change.tenant != tenant {
                if tenant != nil { lines.append("") }
                lines.append(bold(change.tenant.rawValue))
                tenant = change.tenant
            }
            let effect = change.effect.rawValue.padded(to: 8)
            let title = Self.title(change).padded(to: width)
            let detail = ([Self.detail(change)] + predecessors(of: change)).joined(separator: ", ")
            lines.append(
                "  " + paint("\(Self.sign(change)) \(title)  \(effect)", change.effect)
                    + (detail.isEmpty ? "" : "  \(detail)"))
        }
        return (lines + ["", summary]).joined(separator: "\n")
    }

    /// `Plan: 12 create, 1 live.`
    package var summary: String {
        let parts = SpecificationChange.Effect.allCases.compactMap { effect -> String? in
            let count = plan.changes.count { $0.effect == effect }
            return count == 0 ? nil : "\(count) \(effect.rawValue)"
        }
        return "Plan: \(parts.joined(separator: ", "))."
    }

    /// What the plan is as data.
    package static func value(_ plan: SpecificationPlan, revision: Int64, prune: Bool) -> JSONValue {
        .object([
            "revision": .integer(revision), "prune": .bool(prune), "hash": .string(plan.hash),
            "changes": .array(
                plan.changes.map { change in
                    .object([
                        "tenant": .string(change.tenant.rawValue), "path": .string(change.path),
                        "effect": .string(change.effect.rawValue), "before": json(change.before) ?? .null,
                        "after": json(change.after) ?? .null,
                    ])
                }),
        ])
    }

    // MARK: Parts

    /// From the whole to its parts, as manifests are written.
    private var ordered: [SpecificationChange] {
        func rank(_ change: SpecificationChange) -> Int {
            let parts = ["/quota", "/clients", "/networks", "/instances"]
            return parts.firstIndex { change.path.hasPrefix($0) }.map { $0 + 1 } ?? 0
        }
        return plan.changes.sorted {
            ($0.tenant.rawValue, rank($0), $0.path) < ($1.tenant.rawValue, rank($1), $1.path)
        }
    }

    /// What is waited for: a lower quota for the end of what it covers, `after h1 networks/lan` for the networks that have the
    /// addresses of one that is made.
    private func predecessors(of change: SpecificationChange) -> [String] {
        if change.path.hasPrefix("/quota/"), let before = Self.json(change.before)?.integer,
            let after = Self.json(change.after)?.integer, after < before
        {
            let shrinks = plan.changes.contains {
                $0.tenant == change.tenant && [.delete, .replace, .restart].contains($0.effect)
            }
            return shrinks ? ["once no more is used"] : []
        }
        guard change.effect == .create || change.effect == .replace, let wanted = Self.block(change, change.after)
        else {
            return []
        }
        return ordered.filter { other in
            guard other.effect == .delete || other.effect == .replace, let block = Self.block(other, other.before)
            else {
                return false
            }
            return block.overlaps(wanted) && (other.tenant, other.path) != (change.tenant, change.path)
        }
        .map { "after \($0.tenant) \(Self.title($0))" }
    }

    /// The addresses of a network before or after a change of it.
    private static func block(_ change: SpecificationChange, _ text: String?) -> AddressBlock? {
        guard change.path.hasPrefix("/networks/"), let value = json(text) else { return nil }
        return (value[key: "cidr"]?.string ?? value.string).flatMap { try? AddressBlock($0) }
    }

    private static func sign(_ change: SpecificationChange) -> String {
        switch change.effect {
        case .create: "+"
        case .delete: "-"
        case .replace: "±"
        case .none, .live, .restart: "~"
        }
    }

    private static func title(_ change: SpecificationChange) -> String {
        change.path.isEmpty ? "tenant" : String(change.path.dropFirst())
    }

    /// The value that the region's JSON text stands for.
    private static func json(_ text: String?) -> JSONValue? {
        text.flatMap { try? JSONValue(parsing: $0.utf8) }
    }

    private static func detail(_ change: SpecificationChange) -> String {
        let isSize =
            change.path == "/quota/memory" || change.path == "/quota/storage"
            || change.path.hasSuffix("/memory") || change.path.hasSuffix("/disk")
        let before = json(change.before).map { short($0, isSize: isSize) }
        let after = json(change.after).map { short($0, isSize: isSize) }
        switch change.effect {
        case .create: return after ?? ""
        case .delete: return change.path.isEmpty ? "with its database and everything in it" : ""
        case .none, .live, .restart, .replace: return "\(before ?? "nothing") → \(after ?? "nothing")"
        }
    }

    /// The members of a whole thing that tell it from others.
    private static func short(_ value: JSONValue, isSize: Bool = false) -> String {
        switch value {
        case .object(let members):
            if members["generate"] != nil { return "a key pair made here" }
            if let keys = members["jwks"] {
                let names = keys[key: "keys"]?.elements.compactMap { $0[key: "kid"]?.string } ?? []
                return "key \(names.joined(separator: ", "))"
            }
            if let tcp = members["tcp"] { return "TCP port \(tcp[key: "port"]?.cell ?? "")" }
            if let http = members["http"] {
                return "HTTP port \(http[key: "port"]?.cell ?? "") \(http[key: "path"]?.cell ?? "")"
            }
            let shown = ["kind", "image", "cidr", "scopes", "timeZone", "language", "keys"].compactMap { key in
                members[key].map { short($0) }
            }
            let sizes = ["instances", "running", "vcpus", "memory", "disk", "storage", "networks"].compactMap {
                key -> String? in
                guard let number = members[key]?.integer, number != 0 else { return nil }
                let isBytes = ["memory", "disk", "storage"].contains(key)
                return "\(key) \(isBytes ? ByteSize.text(number) : String(number))"
            }
            let name = members["id"] != nil ? members["name"]?.string.map { "\"\($0)\"" } : nil
            return ([name].compactMap { $0 } + shown + sizes).joined(separator: ", ")
        case .integer(let number): return isSize ? ByteSize.text(number) : String(number)
        case .string(let text): return text
        case .array(let elements): return "[\(elements.map { short($0) }.joined(separator: ", "))]"
        default: return value.cell
        }
    }

    private func bold(_ text: String) -> String { usesColor ? "\u{1B}[1m\(text)\u{1B}[0m" : text }

    private func paint(_ text: String, _ effect: SpecificationChange.Effect) -> String {
        guard usesColor else { return text }
        let code =
            switch effect {
            case .create: "32"
            case .delete, .replace: "31"
            case .restart: "33"
            case .live: "36"
            case .none: "0"
            }
        return "\u{1B}[\(code)m\(text)\u{1B}[0m"
    }
}
