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
        guard rule(for: row.type) != nil else {
            bundle.add(row, mode: mode)
            return
        }
        let bytes = Array(row.content.readableBytesView)
        let part = try part(of: row.type, bytes, version: row.version, lastUpdated: row.lastUpdated)
        bundle.add(row.type, id: row.id, resource: part ?? bytes, mode: mode)
    }

    /// A resource without what is to be left out; nil when all of it stays.
    mutating func part(
        of type: ResourceType, _ bytes: [UInt8], version: Int32, lastUpdated: Int64
    ) throws(JSONError) -> [UInt8]? {
        guard let keep = rule(for: type) else { return nil }
        return Self.filtered(try JSONDocument(bytes), version, lastUpdated, keep)
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

    private static func filtered(
        _ document: JSONDocument, _ version: Int32, _ lastUpdated: Int64, _ rule: Rule
    ) -> [UInt8] {
        var writer = JSONWriter(reservingCapacity: document.bytes.count)
        writer.object { object in
            for member in document.root.members {
                let key = member.key
                if key == "meta" {
                    object.key(key)
                    write(meta: member.value, version, lastUpdated, to: &object)
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

    private static func write(
        meta: JSONNode, _ version: Int32, _ lastUpdated: Int64, to writer: inout JSONWriter
    ) {
        writer.object { object in
            object.member("versionId", String(version))
            object.member("lastUpdated", FHIRInstant.text(lastUpdated))
            for member in meta.members where !["tag", "versionId", "lastUpdated"].contains(member.key) {
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
