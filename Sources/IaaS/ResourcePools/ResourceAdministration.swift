package import CloudIdentity
package import CloudModel
package import Coordination
import StrictJSON
import TenantManifest

/// What `/v1` does with instances, networks and quotas. The operator may do everything; a tenant's administrator what
/// concerns its own tenant, within the quota that the operator sets; everyone else is denied.
package struct ResourceAdministration: Sendable {
    private var database: PoolDatabase
    /// How long an answer may wait for the controller to read a console.
    private let consoleLimit: Duration

    package init(database: PoolDatabase, consoleLimit: Duration = .seconds(3)) {
        self.database = database
        self.consoleLimit = consoleLimit
    }

    /// The same, where what is begun is noted with the request that began it.
    package func asked(by request: RequestKey) -> ResourceAdministration {
        var asked = self
        asked.database = database.asked(by: request)
        return asked
    }

    // MARK: Instances

    /// By name.
    package func instances(
        of tenant: TenantID, _ page: PageRequest, as principal: Principal
    ) async throws(ResourcePoolError) -> Page<InstanceDescription> {
        let found = try await database.instances(
            of: tenant, after: page.after?[0], limit: Int(page.fetchLimit), acting: try acting(principal, on: tenant))
        return Page(found, of: page) { [$0.name] }
    }

    package func instance(
        _ name: String, of tenant: TenantID, as principal: Principal
    ) async throws(ResourcePoolError) -> InstanceDescription {
        let acting = try acting(principal, on: tenant)
        guard let instance = try await database.instances(of: tenant, name: name, acting: acting).first else {
            throw ResourcePoolError(.notFound, "no such instance")
        }
        return instance
    }

    /// - Parameter json: the specification, strict JSON.
    package func createInstance(
        _ json: String, in tenant: TenantID, as principal: Principal
    ) async throws(ResourcePoolError) -> OperationStatus {
        try begun(try await ask(.create(json), tenant, principal))
    }

    /// - Parameter json: the whole specification, strict JSON.
    /// - Returns: nil when the instance is so already.
    package func updateInstance(
        _ json: String, in tenant: TenantID, as principal: Principal
    ) async throws(ResourcePoolError) -> OperationStatus? {
        try await ask(.update(json), tenant, principal)
    }

    package func change(
        _ name: String, _ request: InstanceChangeRequest, in tenant: TenantID, as principal: Principal
    ) async throws(ResourcePoolError) -> OperationStatus {
        try begun(try await ask(.change(request, name: name), tenant, principal))
    }

    private func ask(
        _ request: PoolDatabase.Request, _ tenant: TenantID, _ principal: Principal
    ) async throws(ResourcePoolError) -> OperationStatus? {
        let acting = try acting(principal, on: tenant)
        let id = try await database.ask(instance: request, of: tenant, acting: acting, actor: principal.clientID)
        guard let id else { return nil }
        return try await database.operation(id, acting: acting)
    }

    private func begun(_ operation: OperationStatus?) throws(ResourcePoolError) -> OperationStatus {
        guard let operation else { throw ResourcePoolError(.failed, "the control database began no operation") }
        return operation
    }

    /// The end of the console's log, at most 64 KiB, as the guest wrote it.
    package func console(
        of name: String, in tenant: TenantID, as principal: Principal
    ) async throws(ResourcePoolError) -> [UInt8] {
        try await database.console(
            of: name, tenant: tenant, acting: try acting(principal, on: tenant), within: consoleLimit)
    }

    // MARK: Networks

    /// By name.
    package func networks(
        of tenant: TenantID, _ page: PageRequest, as principal: Principal
    ) async throws(ResourcePoolError) -> Page<NetworkDescription> {
        let found = try await database.networks(
            of: tenant, after: page.after?[0], limit: Int(page.fetchLimit), acting: try acting(principal, on: tenant))
        return Page(found, of: page) { [$0.name] }
    }

    package func network(
        _ name: String, of tenant: TenantID, as principal: Principal
    ) async throws(ResourcePoolError) -> NetworkDescription {
        let acting = try acting(principal, on: tenant)
        guard let network = try await database.networks(of: tenant, name: name, acting: acting).first else {
            throw ResourcePoolError(.notFound, "no such network")
        }
        return network
    }

    package func createNetwork(
        _ json: String, in tenant: TenantID, as principal: Principal
    ) async throws(ResourcePoolError) -> OperationStatus {
        let acting = try acting(principal, on: tenant)
        let id = try await database.createNetwork(json, of: tenant, acting: acting, actor: principal.clientID)
        return try await database.operation(id, acting: acting)
    }

    package func deleteNetwork(
        _ name: String, in tenant: TenantID, as principal: Principal
    ) async throws(ResourcePoolError) -> OperationStatus {
        let acting = try acting(principal, on: tenant)
        let id = try await database.deleteNetwork(name, of: tenant, acting: acting, actor: principal.clientID)
        return try await database.operation(id, acting: acting)
    }

    // MARK: Quota and use

    package func quotas(of tenant: TenantID, as principal: Principal) async throws(ResourcePoolError) -> [Quota] {
        try await database.quotas(of: tenant, acting: try acting(principal, on: tenant))
    }

    /// - Parameter json: an object of limits, each as a manifest may have it; what is not in it is zero.
    package func setQuota(
        _ json: String, of tenant: TenantID, as principal: Principal
    ) async throws(ResourcePoolError) {
        let acting = try acting(principal, on: tenant)
        try Self.checkLimits(json)
        try await database.setQuota(json, of: tenant, acting: acting, actor: principal.clientID)
    }

    /// What is no whole number the database refuses by the same rule.
    private static func checkLimits(_ json: String) throws(ResourcePoolError) {
        guard let limits = try? JSONDocument(Array(json.utf8)).root else { return }
        for dimension in TenantQuota.Dimension.all {
            guard let limit = limits[dimension.name]?.integer, !dimension.range.contains(Int64(limit)) else { continue }
            throw ResourcePoolError(
                .invalidValue(
                    field: dimension.name,
                    rule: "must be a whole number from \(dimension.range.lowerBound) to \(dimension.range.upperBound)"),
                "the quota of \(dimension.name) cannot be \(limit)")
        }
    }

    /// What each instance used between two times, in microseconds since 1970; by name and id of the instance.
    package func usage(
        of tenant: TenantID, from begin: Int64, to end: Int64, _ page: PageRequest, as principal: Principal
    ) async throws(ResourcePoolError) -> Page<UsageSummary> {
        let intervals = try await database.usage(
            of: tenant, from: begin, to: end, after: page.after, limit: Int(page.fetchLimit),
            acting: try acting(principal, on: tenant))
        return Page(UsageSummary.summaries(of: intervals), of: page) { [$0.name, $0.instance] }
    }

    // MARK: The region's

    /// Operators and tenants' administrators see what there is to build from, by name.
    package func images(
        _ page: PageRequest, as principal: Principal
    ) async throws(ResourcePoolError) -> Page<ImageDescription> {
        let found = try await database.images(
            after: page.after?[0], limit: Int(page.fetchLimit), acting: try anyActing(principal))
        return Page(found, of: page) { [$0.name] }
    }

    /// Of the whole region for the operator, of its own tenant for an administrator; by tenant and resource.
    package func drifts(
        _ page: PageRequest, as principal: Principal
    ) async throws(ResourcePoolError) -> Page<DriftDescription> {
        let found = try await database.drifts(
            after: page.after, limit: Int(page.fetchLimit), acting: try anyActing(principal))
        return Page(found, of: page) { [$0.tenant ?? "region", $0.resource, $0.kind] }
    }

    // MARK: Who may

    private static let denied = ResourcePoolError(.denied, "this needs an operator or the tenant's administrator")

    /// The acting tenant for the control database; nil is the region. Another's tenant does not exist.
    private func acting(_ principal: Principal, on tenant: TenantID) throws(ResourcePoolError) -> TenantID? {
        let acting = try anyActing(principal)
        guard acting == nil || acting == tenant else { throw ResourcePoolError(.notFound, "no such tenant") }
        return acting
    }

    private func anyActing(_ principal: Principal) throws(ResourcePoolError) -> TenantID? {
        switch principal.kind {
        case .operator where principal.tenant == nil: return nil
        case .tenantAdministrator:
            guard let own = principal.tenant else { throw Self.denied }
            return own
        default: throw Self.denied
        }
    }
}
