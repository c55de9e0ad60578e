import HTTPTypes

/// The routes of the gateway itself. Immutable: made once by the composition root.
package struct RouteTable: Sendable {
    /// What a path leads to.
    enum Match {
        case route(Route, parameters: [String: String])
        /// The path is known, the method is not among these.
        case otherMethods([String])
        case none
    }

    package let routes: [Route]
    /// By first segment, patterns with more literals first.
    private let byFirstSegment: [String: [Route]]

    package init(_ routes: [Route]) {
        self.routes = routes
        var grouped: [String: [Route]] = [:]
        for route in routes {
            let first = route.pattern.description.split(separator: "/").first.map(String.init) ?? ""
            grouped[first, default: []].append(route)
        }
        byFirstSegment = grouped.mapValues { $0.sorted { $0.pattern.literalCount > $1.pattern.literalCount } }
    }

    /// HEAD is served by GET routes.
    func match(_ method: HTTPRequest.Method, _ path: [String]) -> Match {
        let wanted: HTTPRequest.Method = method == .head ? .get : method
        var others: [String] = []
        for route in byFirstSegment[path.first ?? ""] ?? [] {
            guard let parameters = route.pattern.match(path[...]) else { continue }
            if route.method == wanted { return .route(route, parameters: parameters) }
            others.append(route.method.rawValue)
        }
        return others.isEmpty ? .none : .otherMethods(Self.allowed(others))
    }

    /// The value of `Allow`: sorted, with HEAD beside GET and OPTIONS always.
    static func allowed(_ methods: [String]) -> [String] {
        var all = Set(methods).union(["OPTIONS"])
        if all.contains("GET") { all.insert("HEAD") }
        return all.sorted()
    }
}
