package import HTTPTypes
package import SchemaMigration
package import TenantRegistry

/// Where a module's routes begin, below `/t/{tenant}`.
package enum ModuleMount: Sendable, Hashable {
    /// `/t/{tenant}/fhir`. One module owns it; errors there are OperationOutcomes.
    case fhir
    /// `/t/{tenant}/modules/{identifier}`; errors there are problems.
    case named(String)
}

/// One operation of a module as the API description knows it. The conformance test compares these with `OpenAPI/`.
package struct ModuleRoute: Sendable, Hashable {
    package let method: HTTPRequest.Method
    /// Below the mount, parameters in braces: `/{type}/{id}`. "" is the mount itself.
    package let pattern: String
    /// The OpenAPI `operationId`, and the name of the handler.
    package let operationID: String
    /// Answered without a credential, by ``ServedModule/handlePublic(_:)``.
    package let isPublic: Bool

    package init(_ method: HTTPRequest.Method, _ pattern: String, _ operationID: String, isPublic: Bool = false) {
        self.method = method
        self.pattern = pattern
        self.operationID = operationID
        self.isPublic = isPublic
    }
}

/// What a module may use on behalf of one tenant, opened from the request's `TenantAccess`.
package struct TenantServices: Sendable {
    package let database: TenantDatabase

    package init(database: TenantDatabase) {
        self.database = database
    }
}

/// A part of the product: routes, background work and a lifecycle. It serves tenants (``Module``) or the region as a whole
/// (``RegionModule``).
///
/// A module is made without side effects, then `provision` and `validate` run in the order in which the composition root
/// names the modules, then requests come while `run` lasts; `cleanUp` runs last and must work after a half-done
/// `provision`. It has no globals and opens no sockets: what it may use comes by parameters.
package protocol ServedModule: Sendable {
    /// Lower-case, hyphenated, unique: `health-record-exchange`.
    var identifier: String { get }
    /// Of the module's API, `MAJOR.MINOR`.
    var version: String { get }
    /// Every operation that the module answers, public ones included.
    var routes: [ModuleRoute] { get }

    /// Answers a request to a public route; nil when the path is none, and authentication goes its way.
    func handlePublic(_ request: PublicRequest) async throws -> ModuleResponse?

    /// Prepares what requests need: loads definitions, warms caches.
    func provision() async throws
    /// Throws when the module is not fit to serve. `/readyz` asks again.
    func validate() async throws
    /// Background work; ends promptly when cancelled or at graceful shutdown.
    func run() async throws
    func cleanUp() async
}

/// A module that serves tenants, each by itself: it gets the database of the tenant that the request's token names.
package protocol Module: ServedModule {
    var mount: ModuleMount { get }
    /// The module's tables in each tenant database; nil when it has none of its own.
    var tenantMigrations: MigrationSeries? { get }
    /// Answers bounded reads on the event loop; nil when the module has none.
    var hotRead: (any HotRead)? { get }

    /// Answers one request. A thrown `Problem` is rendered at the edge; any other error is logged and answered with 500.
    func handle(_ request: ModuleRequest, in tenant: TenantServices) async throws -> ModuleResponse
}

/// The module that owns the region's FHIR base, `/region/fhir`: what no single tenant could answer. It gets no tenant's
/// database; what it reads of tenants it opens with decisions of its own, and it is made with the services it needs.
package protocol RegionModule: ServedModule {
    /// Answers one request of a client of the region. A thrown `Problem` becomes an OperationOutcome at the edge; any
    /// other error is logged and answered with 500.
    func handle(_ request: RegionRequest) async throws -> ModuleResponse
}

extension Module {
    package var tenantMigrations: MigrationSeries? { nil }
    package var hotRead: (any HotRead)? { nil }
}

extension ServedModule {
    package func handlePublic(_ request: PublicRequest) async throws -> ModuleResponse? { nil }
    package func provision() async throws {}
    package func validate() async throws {}
    package func run() async throws {}
    package func cleanUp() async {}
}
