import CloudHTTP
import CloudIdentity
import CloudModel
import HTTPTypes
import Logging
import ModuleKit
import NIOCore
import TenantRegistry

/// Decides what a request leads to: preflight, a route of the gateway, or a module.
struct RequestPlanner: Sendable {
    let services: GatewayServices
    let crossOrigin: CrossOriginPolicy

    init(services: GatewayServices) {
        self.services = services
        crossOrigin = CrossOriginPolicy(directory: services.directory)
    }

    func plan(_ head: RequestHead) async throws(Problem) -> RequestPlan {
        if head.method == .options { return options(head) }
        guard Self.knownMethods.contains(head.method) else { throw Problem(.notImplemented) }
        switch services.routes.match(head.method, head.path) {
        case .route(let route, let parameters):
            return try await plan(head, route: route, parameters: parameters)
        case .otherMethods(let allowed):
            throw Problem(.methodNotAllowed, allow: allowed)
        case .none:
            break
        }
        guard Self.isGuarded(head.path) else { throw .nothingHere }
        if let (entry, below) = moduleEntry(head.path) {
            return try await plan(head, entry: entry, below: below)
        }
        if let (region, below) = regionEntry(head.path) { return try await plan(head, region: region, below: below) }
        // Below /t, /region and /v1 even "nothing here" is said only to those who may ask.
        _ = try await Authentication(tokens: services.tokens).principal(of: head.headers)
        throw .nothingHere
    }

    private static let knownMethods: Set<HTTPRequest.Method> = [
        .get, .head, .post, .put, .patch, .delete, .trace, .query,
    ]

    private static func isGuarded(_ path: [String]) -> Bool {
        ["t", "region", "v1"].contains(path.first)
    }

    private func moduleEntry(_ path: [String]) -> (ModuleTable.TenantEntry, ArraySlice<String>)? {
        guard path.count >= 3, path[0] == "t" else { return nil }
        if path[2] == "fhir", let entry = services.modules.fhir { return (entry, path[3...]) }
        if path.count >= 4, path[2] == "modules", let entry = services.modules.named[path[3]] {
            return (entry, path[4...])
        }
        return nil
    }

    private func regionEntry(_ path: [String]) -> (ModuleTable.RegionEntry, ArraySlice<String>)? {
        guard let region = services.modules.region, path.count >= 2, path[0] == "region", path[1] == "fhir" else {
            return nil
        }
        return (region, path[2...])
    }

    // MARK: OPTIONS

    private func options(_ head: RequestHead) -> RequestPlan {
        let policy = crossOrigin
        let isPreflight = head.headers[.accessControlRequestMethod] != nil
        let allowed = allowedMethods(head.path).joined(separator: ", ")
        return RequestPlan(
            label: "OPTIONS", bodyLimit: services.limits.formBytes, deadline: .now() + services.limits.requestDeadline,
            lease: nil
        ) { _ in
            if isPreflight, let origin = head.headers[.origin] {
                return try await policy.preflight(origin, path: head.path)
            }
            return ModuleResponse(status: .noContent, headers: [.allow: allowed])
        }
    }

    /// The value of `Allow`. Says nothing of who may, nor whether there is such a tenant or resource.
    private func allowedMethods(_ path: [String]) -> [String] {
        if case .otherMethods(let allowed) = services.routes.match(.options, path) { return allowed }
        if let (entry, below) = moduleEntry(path) { return RouteTable.allowed(entry.entry.methods(below)) }
        if let (entry, below) = regionEntry(path) { return RouteTable.allowed(entry.entry.methods(below)) }
        return RouteTable.allowed([])
    }

    // MARK: Routes of the gateway

    private func plan(
        _ head: RequestHead, route: Route, parameters: [String: String]
    ) async throws(Problem) -> RequestPlan {
        let principal = try await principal(for: route, head)
        let query = try query(head.query, allowed: route.queryNames)
        let deadline = NIODeadline.now() + services.limits.requestDeadline
        let path = head.path.map { "/" + PercentCoding.encode($0) }.joined()
        var logger = services.logger
        logger[metadataKey: "request.id"] = .string(head.requestID)
        return RequestPlan(
            label: route.pattern.description, bodyLimit: route.bodyLimit, deadline: deadline,
            lease: try acquire(principal?.tenant)
        ) { [logger] body in
            try await route.handler(
                GatewayRequest(
                    method: route.method, path: path, parameters: parameters, query: query, headers: head.headers,
                    body: body, requestID: head.requestID, remoteAddress: head.remoteAddress, principal: principal,
                    deadline: deadline, logger: logger))
        }
    }

    private func principal(for route: Route, _ head: RequestHead) async throws(Problem) -> Principal? {
        switch route.audience {
        case .everyone:
            return nil
        case .operatorOrLoopback where Self.isOnThisMachine(head):
            return nil
        case .anyPrincipal, .operatorOrLoopback:
            let token = try await Authentication(tokens: services.tokens).principal(of: head.headers)
            if route.audience == .operatorOrLoopback, token.principal.kind != .operator {
                throw Problem(.insufficientScope)
            }
            return token.principal
        }
    }

    /// A proxy on this machine also comes from loopback, but says for whom.
    private static func isOnThisMachine(_ head: RequestHead) -> Bool {
        let isLoopback = head.remoteAddress.hasPrefix("127.") || head.remoteAddress == "::1"
        let isForwarded = head.headers.contains { field in
            field.name.canonicalName == "forwarded" || field.name.canonicalName.hasPrefix("x-forwarded")
        }
        return isLoopback && !isForwarded
    }

    private func query(_ text: String, allowed: Set<String>?) throws(Problem) -> HTTPQuery {
        let query: HTTPQuery
        do {
            query = try HTTPQuery(parsing: text)
        } catch {
            throw Problem(.malformedRequest, "The query cannot be decoded.")
        }
        guard let allowed else { return query }
        let unknown = query.parameters.filter { !allowed.contains($0.name) }
        guard unknown.isEmpty else {
            let names = allowed.isEmpty ? "It takes none." : "It takes \(allowed.sorted().joined(separator: ", "))."
            throw Problem(
                .unknownParameter, names,
                fields: unknown.prefix(20).map {
                    Problem.Field(pointer: "query:" + $0.name.prefix(100), detail: "unknown parameter")
                })
        }
        return query
    }

    // MARK: Modules

    private func plan(
        _ head: RequestHead, entry tenantEntry: ModuleTable.TenantEntry, below: ArraySlice<String>
    ) async throws(Problem) -> RequestPlan {
        let entry = tenantEntry.entry
        let route = entry.route(head.method, below)
        let label = entry.prefix + (route?.pattern ?? "/*")
        let method: HTTPRequest.Method = head.method == .head ? .get : head.method
        if let route, route.isPublic {
            guard let tenant = TenantID(head.path[1]) else { throw .nothingHere }
            let isServed =
                if tenantEntry.module.mount == .fhir { try await services.directory.hasRecords(tenant) } else {
                    try await services.directory.origins(of: tenant) != nil
                }
            guard isServed else { throw .nothingHere }
            return publicPlan(
                head, module: entry.module, below: below, label: label, base: services.endpoints.fhirBase(tenant))
        }
        let token = try await Authentication(tokens: services.tokens).principal(of: head.headers)
        // A token of another tenant gets what a tenant that does not exist gets.
        guard let access = token.access, access.tenant.rawValue == head.path[1] else { throw .nothingHere }
        let database: TenantServices
        do {
            database = TenantServices(database: try await services.tenants.open(access))
        } catch {
            throw Problem(error)
        }
        if tenantEntry.module.mount == .fhir, database.database.tenant.kind == .partner { throw .nothingHere }
        let isBundle = method == .post && below.isEmpty
        let deadline = NIODeadline.now() + (isBundle ? services.limits.bundleDeadline : services.limits.requestDeadline)
        var logger = services.logger
        logger[metadataKey: "request.id"] = .string(head.requestID)
        logger[metadataKey: "tenant.id"] = .string(access.tenant.rawValue)
        let context = RequestContext(
            requestID: head.requestID, access: access, principal: token.principal,
            fhirBase: services.endpoints.fhirBase(access.tenant), remoteAddress: head.remoteAddress,
            deadline: deadline, logger: logger)
        let module = tenantEntry.module
        let path = Array(below)
        return RequestPlan(
            label: label, bodyLimit: isBundle ? services.limits.bundleBytes : services.limits.resourceBytes,
            deadline: deadline, lease: try acquire(access.tenant)
        ) { body in
            try await module.handle(
                ModuleRequest(
                    method: method, path: path, query: head.query, headers: head.headers, body: body,
                    context: context),
                in: database)
        }
    }

    /// - Parameter tenant: nil: operators and what is for everyone, which have no limit.
    private func acquire(_ tenant: TenantID?) throws(Problem) -> TenantBudget.Lease? {
        guard let tenant else { return nil }
        do {
            return try services.budget.acquire(tenant)
        } catch {
            switch error {
            case .tenant: throw Problem(.tooManyRequests, retryAfter: 1)
            case .worker: throw Problem(.unavailable, "The worker has as much under way as it may.", retryAfter: 1)
            }
        }
    }

    /// For the clients of the region: a token of a tenant gets what a path that does not exist gets.
    private func plan(
        _ head: RequestHead, region: ModuleTable.RegionEntry, below: ArraySlice<String>
    ) async throws(Problem) -> RequestPlan {
        let route = region.entry.route(head.method, below)
        let label = region.entry.prefix + (route?.pattern ?? "/*")
        let base = services.endpoints.fhirBase(nil)
        if let route, route.isPublic {
            return publicPlan(head, module: region.module, below: below, label: label, base: base)
        }
        let principal = try await Authentication(tokens: services.tokens).principal(of: head.headers).principal
        guard principal.tenant == nil else { throw .nothingHere }
        guard let institution = principal.institution else { throw Problem(.institutionRequired) }
        let deadline = NIODeadline.now() + services.limits.requestDeadline
        var logger = services.logger
        logger[metadataKey: "request.id"] = .string(head.requestID)
        logger[metadataKey: "institution.id"] = .string(institution.rawValue)
        let context = RegionContext(
            requestID: head.requestID, principal: principal, institution: institution, fhirBase: base,
            remoteAddress: head.remoteAddress, deadline: deadline, logger: logger)
        let module = region.module
        let path = Array(below)
        let method: HTTPRequest.Method = head.method == .head ? .get : head.method
        return RequestPlan(
            label: label, bodyLimit: services.limits.resourceBytes, deadline: deadline, lease: try acquire(institution)
        ) { body in
            try await module.handle(
                RegionRequest(
                    method: method, path: path, query: head.query, headers: head.headers, body: body, context: context))
        }
    }

    private func publicPlan(
        _ head: RequestHead, module: any ServedModule, below: ArraySlice<String>, label: String, base: String
    ) -> RequestPlan {
        let request = PublicRequest(
            method: head.method == .head ? .get : head.method, path: Array(below), query: head.query,
            headers: head.headers, requestID: head.requestID, fhirBase: base)
        return RequestPlan(
            label: label, bodyLimit: 0, deadline: .now() + services.limits.requestDeadline, lease: nil
        ) { _ in
            guard let response = try await module.handlePublic(request) else { throw Problem.nothingHere }
            return response
        }
    }
}
