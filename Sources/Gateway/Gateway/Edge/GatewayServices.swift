package import CloudIdentity
package import Logging
package import ModuleKit

/// What a worker's gateway is made of. The composition root fills it in; tests use fakes for the protocols.
package struct GatewayServices: Sendable {
    package let limits: GatewayLimits
    /// The region's addresses as clients write them.
    package let endpoints: IdentityEndpoints
    package let routes: RouteTable
    package let modules: ModuleTable
    package let tokens: any TokenChecking
    package let tenants: any TenantOpening
    package let directory: any TenantDirectory
    package let metrics: GatewayMetrics
    /// Whether this worker ends TLS itself.
    package let isSecure: Bool
    package let logger: Logger
    let budget: TenantBudget
    let bodies: BodyCollector
    /// Of answers that are streams.
    let streams: TenantBudget

    package init(
        limits: GatewayLimits, endpoints: IdentityEndpoints, routes: [Route], modules: [any Module],
        regionModule: (any RegionModule)? = nil,
        tokens: any TokenChecking, tenants: any TenantOpening, directory: any TenantDirectory, metrics: GatewayMetrics,
        isSecure: Bool, logger: Logger
    ) {
        self.limits = limits
        self.endpoints = endpoints
        self.routes = RouteTable(routes)
        self.modules = ModuleTable(modules, region: regionModule)
        self.tokens = tokens
        self.tenants = tenants
        self.directory = directory
        self.metrics = metrics
        self.isSecure = isSecure
        self.logger = logger
        budget = TenantBudget(perTenant: limits.tenantConcurrency, total: limits.concurrency)
        bodies = BodyCollector(capacity: limits.bufferedBytes)
        streams = TenantBudget(perTenant: max(1, limits.streams / 4), total: limits.streams)
    }

    /// What problem `type` URIs begin with: the error table of the docs page.
    var typeBase: String { endpoints.baseURL + "/docs" }
}
