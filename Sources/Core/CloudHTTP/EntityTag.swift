/// An entity tag (RFC 9110 §8.8.3).
package struct EntityTag: Sendable, Hashable, CustomStringConvertible {
    package let value: String
    package let isWeak: Bool

    package init(_ value: String, isWeak: Bool = false) {
        self.value = value
        self.isWeak = isWeak
    }

    /// FHIR's form of a version: `W/"3"`.
    package init(version: Int32) {
        self.init(String(version), isWeak: true)
    }

    /// The version in a FHIR tag; nil when the tag is not a number. FHIR compares weakly.
    package var version: Int32? { Int32(value) }

    package var description: String { (isWeak ? "W/\"" : "\"") + value + "\"" }
}

/// The value of `If-Match` or `If-None-Match`.
package enum EntityTagCondition: Sendable, Hashable {
    /// `*`: any current representation.
    case any
    case tags([EntityTag])

    /// Returns nil when the text is not in the grammar of RFC 9110 §13.1.1. A bare version number (`3`), which some FHIR
    /// clients send, is read as a tag.
    package init?(parsing text: some StringProtocol) {
        var rest = Substring(text).trimmed
        if rest == "*" {
            self = .any
            return
        }
        if let number = Int32(rest), number >= 0 {
            self = .tags([EntityTag(String(number))])
            return
        }
        var tags: [EntityTag] = []
        while !rest.isEmpty {
            let isWeak = rest.hasPrefix("W/")
            if isWeak { rest = rest.dropFirst(2) }
            guard rest.first == "\"" else { return nil }
            rest = rest.dropFirst()
            guard let end = rest.firstIndex(of: "\"") else { return nil }
            let value = rest[..<end]
            guard value.utf8.allSatisfy({ $0 == 0x21 || (0x23...0x7E).contains($0) || $0 >= 0x80 }) else { return nil }
            tags.append(EntityTag(String(value), isWeak: isWeak))
            rest = rest[rest.index(after: end)...].trimmed
            guard !rest.isEmpty else { break }
            guard rest.first == "," else { return nil }
            rest = rest.dropFirst().trimmed
        }
        guard !tags.isEmpty else { return nil }
        self = .tags(tags)
    }

    /// Whether the current version fulfils the condition by weak comparison; nil = there is no current representation.
    package func matches(version: Int32?) -> Bool {
        guard let version else { return false }
        switch self {
        case .any: return true
        case .tags(let tags): return tags.contains { $0.version == version }
        }
    }
}

extension Substring {
    /// Without spaces and tabs at both ends (RFC 9110 OWS).
    var trimmed: Substring {
        var rest = self
        while let first = rest.first, first == " " || first == "\t" { rest = rest.dropFirst() }
        while let last = rest.last, last == " " || last == "\t" { rest = rest.dropLast() }
        return rest
    }
}
