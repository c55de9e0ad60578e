package import StrictJSON

/// A value of a manifest before anything is known about its meaning: what JSON and the JSON-like part of YAML share.
package indirect enum ManifestValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// A number that is no integer of 64 bits, as it was written.
    case number(String)
    case string(String)
    case array([ManifestValue])
    /// In the order of the document; each key once.
    case object([Member])

    package struct Member: Sendable, Hashable {
        package let key: String
        package let value: ManifestValue

        package init(key: String, value: ManifestValue) {
            self.key = key
            self.value = value
        }
    }

    /// A value of a JSON document, which has refused duplicate keys already.
    package init(_ node: JSONNode) {
        switch node.kind {
        case .null: self = .null
        case .true: self = .bool(true)
        case .false: self = .bool(false)
        case .string: self = .string(node.string ?? "")
        case .number:
            let text = node.numberText ?? ""
            self = Int64(text).map { .integer($0) } ?? .number(text)
        case .array: self = .array(node.elements.map { ManifestValue($0) })
        case .object: self = .object(node.members.map { Member(key: $0.key, value: ManifestValue($0.value)) })
        }
    }

    /// What to call it in a sentence to the author of the manifest.
    var article: String {
        switch self {
        case .null: "nothing"
        case .bool(let value): "the word \(value)"
        case .integer(let value): "the number \(value)"
        case .number(let text): "the number \(text.prefix(40))"
        case .string(let text): "\"\(text.prefix(60))\""
        case .array: "a list"
        case .object: "a mapping"
        }
    }
}
