package import StrictJSON

/// Replaces the temporary links of a transaction in its resources (FHIR R4 §3.1.0.11.2).
///
/// Links are looked for in `Reference.reference`, in elements of type url, uri, canonical and oid whose text is a `fullUrl`
/// of the bundle, and in `href` and `src` of narratives. Identifiers keep their values: an `urn:uuid:` there is a name, not a
/// link.
package struct ReferenceRewriter: Sendable {
    /// What stands where → what is written instead: `urn:uuid:…` → `Patient/7`, `Patient?identifier=…` → `Patient/7`.
    package let links: [String: String]

    package init(links: [String: String]) {
        self.links = links
    }

    /// The edits that a resource needs; empty when it has no such link.
    package func edits(in document: JSONDocument) -> [(range: Range<Int>, bytes: [UInt8])] {
        guard !links.isEmpty else { return [] }
        var edits: [(range: Range<Int>, bytes: [UInt8])] = []
        Self.visitLinks(document.root) { _, node, text in
            guard let target = text.hasPrefix("<") ? narrative(text) : target(of: text) else { return }
            var writer = JSONWriter()
            writer.string(target)
            edits.append((node.range, writer.bytes))
        }
        return edits
    }

    /// The conditional references of a resource: `Type?criteria`.
    package static func conditionalReferences(in document: JSONDocument) -> Set<String> {
        var found: Set<String> = []
        visitLinks(document.root) { key, _, text in
            if key == referenceKey, isConditional(text) { found.insert(text) }
        }
        return found
    }

    /// The first reference to a temporary identity that has no place in ``links``; nil when all of them lead somewhere.
    ///
    /// Such a reference can never be resolved once the bundle is gone (FHIR R4 references.html#literal: a reference SHALL be
    /// resolvable).
    package func unresolved(in document: JSONDocument) -> String? {
        var found: String?
        Self.visitLinks(document.root) { key, _, text in
            guard found == nil, key == Self.referenceKey, text.hasPrefix("urn:uuid:") || text.hasPrefix("urn:oid:"),
                target(of: text) == nil
            else { return }
            found = text
        }
        return found
    }

    /// Whether a reference is `Type?criteria` with a known type.
    package static func isConditional(_ reference: String) -> Bool {
        guard let mark = reference.firstIndex(of: "?") else { return false }
        return ResourceType.named(String(reference[..<mark])) != nil
    }

    private func target(of text: String) -> String? {
        if let target = links[text] { return target }
        // A link to a contained part keeps its fragment.
        guard let hash = text.firstIndex(of: "#"), hash != text.startIndex, let target = links[String(text[..<hash])]
        else { return nil }
        return target + text[hash...]
    }

    /// The narrative with its links replaced; nil when it has none of ours.
    private func narrative(_ text: String) -> String? {
        guard text.contains("href=") || text.contains("src=") else { return nil }
        var result = ""
        var rest = text[...]
        var isChanged = false
        while let quote = rest.firstIndex(where: { $0 == "\"" || $0 == "'" }) {
            let mark = rest[quote]
            let before = rest[..<quote]
            let after = rest[rest.index(after: quote)...]
            guard let end = after.firstIndex(of: mark) else { break }
            let value = String(after[..<end])
            let isLink = before.hasSuffix("href=") || before.hasSuffix("src=")
            let target = isLink ? target(of: value) : nil
            isChanged = isChanged || target != nil
            result += before + String(mark) + (target ?? value) + String(mark)
            rest = after[after.index(after: end)...]
        }
        return isChanged ? result + rest : nil
    }

    private static let referenceKey = "reference"

    private static let linkKeys: Set<String> = [
        "div", referenceKey, "url", "uri", "valueUrl", "valueUri", "valueCanonical", "valueOid", "valueUuid",
        "instantiatesUri",
        "instantiatesCanonical",
    ]

    /// Calls `body` with each string under a key that can hold a link. `Extension.url` and the like never hold one that is
    /// in a bundle's table, so they cost a look-up and nothing else.
    private static func visitLinks(
        _ node: JSONNode, _ body: (_ key: String, _ value: JSONNode, _ text: String) -> Void
    ) {
        switch node.kind {
        case .object:
            for member in node.members {
                switch member.value.kind {
                case .object:
                    visitLinks(member.value, body)
                case .array:
                    let isLink = linkKeys.contains(member.key)
                    for element in member.value.elements {
                        if element.kind == .string {
                            if isLink, let text = element.string { body(member.key, element, text) }
                        } else {
                            visitLinks(element, body)
                        }
                    }
                case .string where linkKeys.contains(member.key):
                    if let text = member.value.string { body(member.key, member.value, text) }
                case .string, .number, .true, .false, .null:
                    continue
                }
            }
        case .array:
            for element in node.elements { visitLinks(element, body) }
        case .string, .number, .true, .false, .null:
            return
        }
    }
}
