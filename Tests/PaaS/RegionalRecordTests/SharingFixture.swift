import ClinicalData
import CloudModel
import Glibc
import NIOCore
import PostgresDriver
import RegionalRecord
import StrictJSON
import TenantRegistry
import TestSupport

/// Two hospitals and a bureau with one patient at the first, as the region sees them.
struct SharingFixture: Sendable {
    let index: IndexFixture
    let sharing: SharingDatabase
    let patient: RegionID
    let bureau: TenantID
    let holder: TenantID
    let reader: TenantID

    init(records: [String] = ["p1"]) async throws {
        index = try await IndexFixture()
        sharing = SharingDatabase(region: index.region)
        guard let bureau = TenantID(index.tenant("b")), let holder = TenantID(index.tenant("h1")),
            let reader = TenantID(index.tenant("h2"))
        else { throw TestFailure(what: "names") }
        (self.bureau, self.holder, self.reader) = (bureau, holder, reader)
        try await index.begin("h1")
        for record in records { try await index.state("h1", record, ["id"]) }
        let found = try await sharing.lookUp(
            system: "urn:test:id", value: index.identifier("id"), query: "", by: Self.asker(reader))
        guard let found else { throw TestFailure(what: "not found") }
        patient = found
    }

    struct TestFailure: Error { let what: String }

    static func asker(
        _ institution: TenantID, life: Int = 1, practitioner: String? = "Practitioner/2", purpose: String? = "TREAT"
    ) -> Asker {
        Asker(
            institution: institution,
            record: TenantRecord(
                id: institution.rawValue, name: "T", timeZone: "UTC", language: "en", state: .ready,
                database: database(institution, life), cell: "cell-1", error: nil, createdAt: "2026-01-01T00:00:00Z"),
            client: "client", practitioner: practitioner, purpose: purpose,
            requestID: "request", source: "127.0.0.1")
    }

    /// Of a tenant that was made for the first, the second … time.
    static func database(_ institution: TenantID, _ life: Int = 1) -> String { "t_\(institution)_\(life)" }

    static let everything = RegionalRequest(.operation)

    func decide(
        _ request: RegionalRequest = everything, institution: TenantID? = nil, life: Int = 1,
        purpose: String = "TREAT"
    ) async throws -> SharingOutcome? {
        try await sharing.decide(
            on: .patient(patient), for: request,
            by: Self.asker(institution ?? reader, life: life, purpose: purpose))
    }

    static let hour: Int64 = 3_600_000_000

    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000
    }

    func terms(
        _ status: ConsentTerms.Status = .active, permits: Bool = true, grantees: [TenantID]? = nil,
        purposes: [String] = ["TREAT"], types: [ResourceType]? = nil, starts: Int64 = 0, ends: Int64? = nil,
        of other: RegionID? = nil
    ) throws -> ConsentTerms {
        let day = { (at: Int64) in FHIRInstant.text(at) }
        let classes = types.map { types in
            ",\"class\":["
                + types.map {
                    "{\"system\":\"http://hl7.org/fhir/resource-types\",\"code\":\"\($0.name)\"}"
                }.joined(separator: ",") + "]"
        }
        let purpose = purposes.map { "{\"system\":\"\(PurposeOfUse.system)\",\"code\":\"\($0)\"}" }
        let actors = (grantees ?? [reader]).map {
            "{\"role\":{\"coding\":[{\"code\":\"IRCP\"}]},\"reference\":{\"reference\":\"Organization/\($0)\"}}"
        }
        let text = """
            {"resourceType":"Consent","status":"\(status.rawValue)","patient":{"reference":"Patient/\(other ?? patient)"},
            "scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
            "provision":{"type":"\(permits ? "permit" : "deny")","period":{"start":"\(day(starts))","end":"\(day(ends ?? Self.now() + Self.hour))"},
            "actor":[\(actors.joined(separator: ","))],
            "purpose":[\(purpose.joined(separator: ","))]\(classes ?? "")}}
            """
        // The clock of the terms stands in the past, so that what has ended can be recorded.
        return try ConsentTerms(
            try JSONDocument(Array(text.utf8)).root, recorder: bureau, definitions: .r4, days: .utc, now: starts)
    }

    @discardableResult
    func write(
        _ terms: ConsentTerms, id: RegionID? = nil, expected: Int32? = nil, by recorder: TenantID? = nil,
        request: RepeatableRequest? = nil
    ) async throws -> RecordVersion {
        guard let identity = id ?? RegionID(ResourceID.make()) else { throw TestFailure(what: "id") }
        return try await sharing.write(
            terms, id: identity, creates: id == nil, expected: expected,
            databases: terms.grantees.map { Self.database($0) }, content: ByteBuffer(string: "{}"), request: request,
            by: Self.asker(recorder ?? bureau))
    }
}
