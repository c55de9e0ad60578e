package import BookingBlacklist
package import ClinicalData
import CloudHTTP
package import CloudIdentity
import CloudModel
import HTTPTypes
package import ModuleKit
import NIOCore
package import RegionalRecord
import StrictJSON
package import TenantRegistry

/// The region's FHIR base: one institution reads another's records of a patient because the patient agreed.
///
/// A request is decided in the region database at the moment of use, the decision is recorded, and only then the holders'
/// databases are opened with it.
package struct RecordSharing: RegionModule {
    private let services: SharingServices
    private let capabilities: SharingCapabilities

    /// - Parameters:
    ///   - cursorKey: signs cursors; at least 32 bytes, the same at every worker.
    ///   - now: microseconds since 1970.
    package init(
        definitions: Definitions = .r4, region: SharingDatabase, blacklist: BlacklistDatabase,
        control: ControlDatabase, holders: TenantDatabases,
        endpoints: IdentityEndpoints, settings: SharingSettings = SharingSettings(), cursorKey: [UInt8],
        now: @escaping @Sendable () -> Int64
    ) {
        services = SharingServices(
            definitions: definitions, store: ClinicalStore(),
            search: SearchEngine(definitions: definitions, cursorKey: cursorKey), auditLog: AuditLog(),
            cursors: SharingCursor(key: cursorKey), region: region, blacklist: blacklist, control: control,
            holders: holders,
            endpoints: endpoints, settings: settings, now: now)
        capabilities = SharingCapabilities(definitions: definitions)
    }

    package var identifier: String { "record-sharing" }
    package var version: String { "1.0" }

    package var routes: [ModuleRoute] {
        [
            ModuleRoute(.get, "/metadata", "readRegionCapabilities", isPublic: true),
            ModuleRoute(.get, "/Patient", "findRegionPatient"),
            ModuleRoute(.post, "/Patient/_search", "findRegionPatientByForm"),
            ModuleRoute(.get, "/Patient/{id}", "readRegionPatient"),
            ModuleRoute(.get, "/Patient/{id}/$everything", "readEverything"),
            ModuleRoute(.get, "/{type}", "searchShared"),
            ModuleRoute(.post, "/{type}/_search", "searchSharedByForm"),
            ModuleRoute(.get, "/{type}/{id}", "readShared"),
            ModuleRoute(.get, "/{type}/{id}/_history", "listSharedVersions"),
            ModuleRoute(.get, "/{type}/{id}/_history/{version}", "readSharedVersion"),
            ModuleRoute(.post, "/Consent", "recordConsent"),
            ModuleRoute(.get, "/Consent", "searchConsents"),
            ModuleRoute(.post, "/Consent/_search", "searchConsentsByForm"),
            ModuleRoute(.get, "/Consent/{id}", "readConsent"),
            ModuleRoute(.put, "/Consent/{id}", "updateConsent"),
            ModuleRoute(.get, "/Consent/{id}/_history", "listConsentVersions"),
            ModuleRoute(.get, "/Consent/{id}/_history/{version}", "readConsentVersion"),
            ModuleRoute(.post, "/Flag", "recordFlag"),
            ModuleRoute(.get, "/Flag", "searchFlags"),
            ModuleRoute(.post, "/Flag/_search", "searchFlagsByForm"),
            ModuleRoute(.get, "/Flag/{id}", "readFlag"),
            ModuleRoute(.put, "/Flag/{id}", "updateFlag"),
            ModuleRoute(.get, "/Flag/{id}/_history", "listFlagVersions"),
            ModuleRoute(.get, "/Flag/{id}/_history/{version}", "readFlagVersion"),
            ModuleRoute(.get, "/AuditEvent", "readAccessLog"),
            ModuleRoute(.post, "/AuditEvent/_search", "readAccessLogByForm"),
        ]
    }

    package func handle(_ request: RegionRequest) async throws -> ModuleResponse {
        do {
            return try await answer(request)
        } catch let error as RegionalRecordError {
            throw Self.problem(error) ?? error
        } catch let error as BlacklistError {
            throw Self.problem(error) ?? error
        } catch let error as JSONError {
            throw Problem(
                .malformedJSON, error.message, fields: [Problem.Field(pointer: error.path, detail: error.message)])
        }
    }

    private func answer(_ request: RegionRequest) async throws -> ModuleResponse {
        let exchange = try await SharingExchange(request, services: services)
        let patients = PatientInteraction(exchange: exchange)
        let records = RecordInteraction(exchange: exchange)
        let consents = ConsentInteraction(exchange: exchange)
        let flags = FlagInteraction(exchange: exchange)
        switch try SharingInteraction(request.method, path: request.path) {
        case .capabilities: return metadata(exchange.base)
        case .findPatient: return try await patients.find()
        case .readPatient(let id): return try await patients.read(id)
        case .everything(let id): return try await patients.everything(id)
        case .search(let type): return try await records.search(type)
        case .read(let type, let id): return try await records.read(type, id)
        case .versions(let type, let id): return try await records.versions(type, id)
        case .readVersion(let type, let id, let version):
            return try await records.readVersion(type, id, version: version)
        case .recordConsent: return try await consents.record(request.body)
        case .searchConsents: return try await consents.search()
        case .readConsent(let id): return try await consents.read(id)
        case .updateConsent(let id): return try await consents.update(id, request.body)
        case .consentVersions(let id): return try await consents.versions(id)
        case .readConsentVersion(let id, let version): return try await consents.readVersion(id, version: version)
        case .recordFlag: return try await flags.record(request.body)
        case .searchFlags:
            // The flags that holders have of a patient are searched like their other records.
            let isOfPatient = exchange.query.parameters.contains { ["patient", "subject"].contains($0.name) }
            return try await isOfPatient ? records.search(.flag) : flags.search()
        case .readFlag(let id): return try await flags.read(id)
        case .updateFlag(let id): return try await flags.update(id, request.body)
        case .flagVersions(let id): return try await flags.versions(id)
        case .readFlagVersion(let id, let version): return try await flags.readVersion(id, version: version)
        case .accessLog: return try await AccessLogInteraction(exchange: exchange).search()
        }
    }

    /// `metadata` needs no credential.
    package func handlePublic(_ request: PublicRequest) async throws -> ModuleResponse? {
        request.path == ["metadata"] ? metadata(request.fhirBase) : nil
    }

    private func metadata(_ base: String) -> ModuleResponse {
        ModuleResponse(
            status: .ok, headers: [.contentType: Problem.fhirMediaType], body: capabilities.bytes(base: base))
    }

    /// What a client learns of the region database's state; nil for what is our fault.
    private static func problem(_ error: RegionalRecordError) -> Problem? {
        switch error.code {
        case .unavailable: Problem(.unavailable, "The region's index does not answer now.", retryAfter: 1)
        case .unknownConsent: .nothingShared
        default: nil
        }
    }

    /// The same for the blacklist.
    private static func problem(_ error: BlacklistError) -> Problem? {
        switch error.code {
        case .unavailable: Problem(.unavailable, "The region's blacklist does not answer now.", retryAfter: 1)
        case .unknownEntry: .nothingShared
        default: nil
        }
    }
}
