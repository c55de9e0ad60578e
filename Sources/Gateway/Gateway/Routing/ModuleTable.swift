package import HTTPTypes
package import ModuleKit

/// The modules by mount, with the patterns of their routes for metrics, public routes and the API description.
package struct ModuleTable: Sendable {
    /// A module with its patterns compiled.
    struct Entry: Sendable {
        let module: any ServedModule
        /// The mount in patterns: `/t/{tenant}/fhir`.
        let prefix: String
        /// Patterns with more literals first.
        let patterns: [(route: ModuleRoute, pattern: RoutePattern)]

        /// The module's route for a path below the mount; nil when it declares none (its own 404 or 405 follows).
        func route(_ method: HTTPRequest.Method, _ path: ArraySlice<String>) -> ModuleRoute? {
            let wanted: HTTPRequest.Method = method == .head ? .get : method
            return patterns.first { $0.route.method == wanted && $0.pattern.match(path) != nil }?.route
        }

        /// The methods of the pattern with the most literals that takes the path; empty when none does.
        func methods(_ path: ArraySlice<String>) -> [String] {
            let matching = patterns.filter { $0.pattern.match(path) != nil }
            guard let literals = matching.first?.pattern.literalCount else { return [] }
            return matching.filter { $0.pattern.literalCount == literals }.map(\.route.method.rawValue)
        }
    }

    /// The module that answers for tenants.
    struct TenantEntry: Sendable {
        let module: any Module
        let entry: Entry
    }

    /// The module that answers for the region.
    struct RegionEntry: Sendable {
        let module: any RegionModule
        let entry: Entry
    }

    package let modules: [any Module]
    let fhir: TenantEntry?
    let named: [String: TenantEntry]
    let region: RegionEntry?

    package init(_ modules: [any Module], region: (any RegionModule)? = nil) {
        self.modules = modules
        self.region = region.map { RegionEntry(module: $0, entry: Self.entry($0, prefix: "/region/fhir")) }
        var fhir: TenantEntry?
        var named: [String: TenantEntry] = [:]
        for module in modules {
            switch module.mount {
            case .fhir:
                fhir = TenantEntry(module: module, entry: Self.entry(module, prefix: "/t/{tenant}/fhir"))
            case .named(let name):
                named[name] = TenantEntry(
                    module: module, entry: Self.entry(module, prefix: "/t/{tenant}/modules/" + name))
            }
        }
        self.fhir = fhir
        self.named = named
    }

    private static func entry(_ module: any ServedModule, prefix: String) -> Entry {
        let patterns = module.routes.map { (route: $0, pattern: RoutePattern($0.pattern)) }
            .sorted { $0.pattern.literalCount > $1.pattern.literalCount }
        return Entry(module: module, prefix: prefix, patterns: patterns)
    }

    /// Every operation of every module: method, full pattern, operation id.
    package var operations: [(method: HTTPRequest.Method, pattern: String, operationID: String)] {
        ([fhir?.entry, region?.entry].compactMap { $0 } + named.values.map(\.entry)).flatMap { entry in
            entry.module.routes.map {
                (method: $0.method, pattern: entry.prefix + $0.pattern, operationID: $0.operationID)
            }
        }
    }
}
