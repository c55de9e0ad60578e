/// A path pattern: literal segments and `{parameters}` that match one segment each.
package struct RoutePattern: Sendable, Hashable, CustomStringConvertible {
    enum Segment: Sendable, Hashable {
        case literal(String)
        case parameter(String)
    }

    /// As written: `/v1/tenants/{tenant}`. Also the label in metrics.
    package let description: String
    let segments: [Segment]

    package init(_ text: String) {
        description = text
        segments = text.split(separator: "/").map { part in
            part.hasPrefix("{") && part.hasSuffix("}")
                ? .parameter(String(part.dropFirst().dropLast())) : .literal(String(part))
        }
    }

    /// The parameters when `path` fits, else nil.
    package func match(_ path: ArraySlice<String>) -> [String: String]? {
        guard path.count == segments.count else { return nil }
        var parameters: [String: String] = [:]
        for (segment, part) in zip(segments, path) {
            switch segment {
            case .literal(let text):
                guard text == part else { return nil }
            case .parameter(let name):
                parameters[name] = part
            }
        }
        return parameters
    }

    /// Patterns with more literals win: `/{type}/_search` before `/{type}/{id}`.
    var literalCount: Int {
        segments.count { if case .literal = $0 { true } else { false } }
    }
}
