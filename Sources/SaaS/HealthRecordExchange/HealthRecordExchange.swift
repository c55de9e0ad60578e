package import ClinicalData
package import CloudModel
import HTTPTypes
package import ModuleKit
import NIOCore
package import PostgresDriver
import TenantRegistry

/// FHIR R4 over a tenant's records: every interaction of the RESTful API on all 146 resource types.
package struct HealthRecordExchange: Module {
    private let service: RecordService
    private let reader: ResourceHotRead
    private let didWrite: @Sendable (TenantID) -> Void

    /// - Parameters:
    ///   - cursorKey: Signs the cursors of searches and histories; at least 32 bytes, the same at every worker.
    ///   - didWrite: Called after something may have been committed in a tenant's database; must not wait.
    package init(
        definitions: Definitions = .r4, cursorKey: [UInt8],
        didWrite: @escaping @Sendable (TenantID) -> Void = { _ in }
    ) {
        self.didWrite = didWrite
        service = RecordService(
            services: ExchangeServices(
                definitions: definitions, store: ClinicalStore(),
                search: SearchEngine(definitions: definitions, cursorKey: cursorKey), auditLog: AuditLog(),
                historyCursors: HistoryCursor(key: cursorKey),
                capabilities: CapabilityStatement(definitions: definitions)))
        reader = ResourceHotRead()
    }

    package var identifier: String { "health-record-exchange" }
    package var version: String { "1.0" }
    package var mount: ModuleMount { .fhir }
    package var hotRead: (any HotRead)? { reader }

    package var routes: [ModuleRoute] {
        [
            ModuleRoute(.get, "/metadata", "readCapabilities", isPublic: true),
            ModuleRoute(.get, "/{type}/{id}", "readResource"),
            ModuleRoute(.get, "/{type}/{id}/_history/{version}", "readResourceVersion"),
            ModuleRoute(.get, "/{type}/{id}/_history", "listResourceVersions"),
            ModuleRoute(.get, "/{type}/_history", "listTypeVersions"),
            ModuleRoute(.get, "/_history", "listVersions"),
            ModuleRoute(.post, "/{type}", "createResource"),
            ModuleRoute(.put, "/{type}/{id}", "updateResource"),
            ModuleRoute(.put, "/{type}", "updateResourceWhere"),
            ModuleRoute(.patch, "/{type}/{id}", "patchResource"),
            ModuleRoute(.patch, "/{type}", "patchResourceWhere"),
            ModuleRoute(.delete, "/{type}/{id}", "deleteResource"),
            ModuleRoute(.delete, "/{type}", "deleteResourceWhere"),
            ModuleRoute(.get, "/{type}", "searchType"),
            ModuleRoute(.post, "/{type}/_search", "searchTypeByForm"),
            ModuleRoute(.get, "", "searchSystem"),
            ModuleRoute(.post, "/_search", "searchSystemByForm"),
            ModuleRoute(.get, "/{compartment}/{id}/{type}", "searchCompartment"),
            ModuleRoute(.post, "/{compartment}/{id}/{type}/_search", "searchCompartmentByForm"),
            ModuleRoute(.post, "", "processBundle"),
        ]
    }

    package func handle(_ request: ModuleRequest, in tenant: TenantServices) async throws -> ModuleResponse {
        let response = try await handle(request, pool: tenant.database.pool)
        if request.method != .get, request.method != .head, response.status.kind == .successful {
            didWrite(tenant.database.access.tenant)
        }
        return response
    }

    /// The same for a caller that holds the connections itself.
    package func handle(_ request: ModuleRequest, pool: PostgresPool) async throws -> ModuleResponse {
        try await service.handle(request, pool: pool)
    }

    /// `metadata` needs no credential.
    package func handlePublic(_ request: PublicRequest) async throws -> ModuleResponse? {
        guard request.path == ["metadata"] else { return nil }
        return service.metadata(request)
    }

    package func provision() async throws {
        // The tables are parsed at first use; the first request does not wait for it.
        _ = service.services.definitions.types
    }
}
