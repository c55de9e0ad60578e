/// A media type with its parameters (RFC 9110 §8.3.1). Names are lower-cased, values keep their case.
package struct MediaType: Sendable, Hashable {
    package let type: String
    package let subtype: String
    package let parameters: [String: String]

    /// Returns nil when the text is not `type/subtype` with well-formed parameters.
    package init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: ";", omittingEmptySubsequences: false)
        guard let first = parts.first else { return nil }
        let names = Substring(first).trimmed.split(separator: "/", omittingEmptySubsequences: false)
        guard names.count == 2, names.allSatisfy({ Self.isToken($0) }) else { return nil }
        var parameters: [String: String] = [:]
        for part in parts.dropFirst() {
            let pair = Substring(part).trimmed
            guard !pair.isEmpty else { continue }
            guard let equals = pair.firstIndex(of: "=") else { return nil }
            let name = pair[..<equals]
            var value = pair[pair.index(after: equals)...]
            guard Self.isToken(name) else { return nil }
            if value.first == "\"" {
                guard value.utf8.count >= 2, value.last == "\"" else { return nil }
                value = value.dropFirst().dropLast()
            }
            parameters[name.lowercased()] = String(value)
        }
        self.type = names[0].lowercased()
        self.subtype = names[1].lowercased()
        self.parameters = parameters
    }

    /// `type/subtype`.
    package var essence: String { type + "/" + subtype }

    private static func isToken(_ text: Substring) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default:
                    "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}

/// The value of an `Accept` header (RFC 9110 §12.5.1).
package struct AcceptHeader: Sendable, Hashable {
    private let ranges: [(range: MediaType, quality: Int)]

    package static func == (left: AcceptHeader, right: AcceptHeader) -> Bool {
        left.ranges.elementsEqual(right.ranges) { $0.range == $1.range && $0.quality == $1.quality }
    }

    package func hash(into hasher: inout Hasher) {
        for entry in ranges {
            hasher.combine(entry.range)
            hasher.combine(entry.quality)
        }
    }

    /// Ranges that are not well-formed are left out; nil or an empty header accepts everything.
    ///
    /// - Parameter isServed: Whether what is offered is of a range, its parameters considered; other ranges accept nothing.
    package init(parsing text: String?, isServed: (MediaType) -> Bool = { _ in true }) {
        var ranges: [(range: MediaType, quality: Int)] = []
        for part in (text ?? "").split(separator: ",") {
            guard let range = MediaType(parsing: part) else { continue }
            ranges.append((range, isServed(range) ? Self.thousandths(range.parameters["q"] ?? "1") : 0))
        }
        if ranges.isEmpty, let everything = MediaType(parsing: "*/*") { ranges = [(everything, 1000)] }
        self.ranges = ranges
    }

    /// The media type among `offered` (`type/subtype`, best of ours first) that the client likes best; nil when it
    /// accepts none.
    package func preferred(among offered: [String]) -> String? {
        var best: (offer: String, quality: Int)?
        for offer in offered {
            let quality = self.quality(of: offer)
            if quality > best?.quality ?? 0 { best = (offer, quality) }
        }
        return best?.offer
    }

    /// 0…1000, the most specific range deciding.
    package func quality(of offer: String) -> Int {
        var decided: (specificity: Int, quality: Int) = (-1, 0)
        for (range, quality) in ranges {
            let specificity: Int
            if range.essence == offer {
                specificity = 2
            } else if range.subtype == "*", offer.hasPrefix(range.type + "/") {
                specificity = 1
            } else if range.essence == "*/*" {
                specificity = 0
            } else {
                continue
            }
            if specificity > decided.specificity { decided = (specificity, quality) }
        }
        return decided.quality
    }

    /// `0.75` → 750; what is no weight counts as 0.
    private static func thousandths(_ text: String) -> Int {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = Int(parts[0]), (0...1).contains(whole) else { return 0 }
        guard parts.count == 2 else { return whole * 1000 }
        let digits = parts[1].prefix(3)
        guard let fraction = Int(digits.isEmpty ? "0" : digits) else { return 0 }
        let scale = [1000, 100, 10, 1][digits.utf8.count]
        return min(1000, whole * 1000 + fraction * scale)
    }
}
