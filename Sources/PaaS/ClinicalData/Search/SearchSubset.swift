import NIOCore
import StrictJSON

/// Leaves elements out of resources for `_elements` and `_summary`, on the bytes: what stays is copied as it is.
///
/// `resourceType`, `id`, `meta` and mandatory elements always stay, and `meta.tag` says SUBSETTED.
struct SearchSubset {
    private let summary: SearchPlan.Summary
    private let elements: SearchPlan.Elements?
    /// `_elements` is about the resources that were searched for.
    private let types: Set<ResourceType>
    private let definitions: Definitions
    /// Made when a type is first met.
    private var rules: [ResourceType: Rule?] = [:]

    init(plan: SearchPlan, definitions: Definitions) {
        summary = plan.summary
        elements = plan.elements
        types = Set(plan.types)
        self.definitions = definitions
    }

    /// Adds a row to a bundle, whole or in part.
    mutating func add(_ row: SearchRow, mode: SearchBundle.Mode, to bundle: inout SearchBundle) throws(JSONError) {
        guard let keep = rule(for: row.type) else {
            bundle.add(row, mode: mode)
            return
        }
        let document = try JSONDocument(Array(row.content.readableBytesView))
        bundle.add(row.type, id: row.id, resource: Self.filtered(document, row, keep), mode: mode)
    }

    private mutating func rule(for type: ResourceType) -> Rule? {
        if let known = rules[type] { return known }
        let rule = makeRule(for: type)
        rules[type] = .some(rule)
        return rule
    }

    /// What stays of a resource; nil when all of it does.
    private func makeRule(for type: ResourceType) -> Rule? {
        guard elements != nil || (summary != .full && summary != .count) else { return nil }
        let table = TypeElements(of: type, in: definitions)
        if let elements, types.contains(type) {
            let names = Set(elements.names)
            return Rule { key in
                guard let element = table.root[key] else { return elements.excludes }
                let isNamed = names.contains(key) || names.contains(element.name)
                return element.isMandatory || isNamed != elements.excludes
            }
        }
        switch summary {
        case .full, .count: return nil
        case .marked:
            return Rule(nested: table.nested) { key in
                table.root[key].map { $0.isSummary || $0.isMandatory } ?? false
            }
        case .text: return Rule { key in key == "text" || table.root[key]?.isMandatory ?? false }
        case .data: return Rule { key in key != "text" || table.root[key]?.isMandatory ?? false }
        }
    }

    private struct Rule {
        /// Keys that stay of objects below the top, by path; objects without an entry stay whole.
        var nested: [String: Set<String>] = [:]
        let keeps: (String) -> Bool
    }

    private static func filtered(_ document: JSONDocument, _ row: SearchRow, _ rule: Rule) -> [UInt8] {
        var writer = JSONWriter(reservingCapacity: document.bytes.count)
        writer.object { object in
            for member in document.root.members {
                let key = member.key
                if key == "meta" {
                    object.key(key)
                    write(meta: member.value, row, to: &object)
                } else if key == "resourceType" || key == "id" || rule.keeps(element(of: key)) {
                    object.key(key)
                    write(member.value, at: key, rule, to: &object)
                }
            }
        }
        return writer.bytes
    }

    /// `_birthDate` belongs to `birthDate`.
    private static func element(of key: String) -> String { key.hasPrefix("_") ? String(key.dropFirst()) : key }

    private static func write(_ value: JSONNode, at path: String, _ rule: Rule, to writer: inout JSONWriter) {
        guard let kept = rule.nested[path] else {
            writer.raw(value.rawBytes)
            return
        }
        switch value.kind {
        case .array:
            writer.array { array in
                for element in value.elements { write(element, at: path, rule, to: &array) }
            }
        case .object:
            writer.object { object in
                for member in value.members where kept.contains(element(of: member.key)) {
                    object.key(member.key)
                    write(member.value, at: path + "." + member.key, rule, to: &object)
                }
            }
        default: writer.raw(value.rawBytes)
        }
    }

    private static func write(meta: JSONNode, _ row: SearchRow, to writer: inout JSONWriter) {
        writer.object { object in
            object.member("versionId", String(row.version))
            object.member("lastUpdated", FHIRInstant.text(row.lastUpdated))
            for member in meta.members where !member.keyIs("tag") {
                object.member(member.key, raw: member.value.rawBytes)
            }
            object.key("tag")
            object.array { tags in
                for tag in meta["tag"]?.elements.map({ $0 }) ?? [] { tags.raw(tag.rawBytes) }
                tags.object {
                    $0.member("system", "http://terminology.hl7.org/CodeSystem/v3-ObservationValue")
                    $0.member("code", "SUBSETTED")
                }
            }
        }
    }
}
