package import ClinicalData
package import CloudModel
package import EventBus
import NIOCore
import PostgresDriver
import RegionalRecord
import StrictJSON
package import TenantRegistry

/// Follows the tenants' outboxes and tells the region which appointments were not kept.
///
/// It takes from an event only whose appointment or which patient changed, and tells what is true of that patient now: events
/// may come again and in any order. What follows for the blacklist is decided in the region database, in the same transaction.
package struct BlacklistFeed: EventConsumer {
    private let region: BlacklistFeedDatabase
    private let definitions: Definitions
    private let base: @Sendable (TenantID) -> String
    private let today: @Sendable () -> String

    /// - Parameters:
    ///   - rule: nil when the region bars nobody by itself.
    ///   - base: A tenant's FHIR base without a slash at its end.
    ///   - today: The date in UTC, `2026-11-29`.
    package init(
        region: RegionDatabase, rule: BlacklistRule?, definitions: Definitions = .r4,
        base: @escaping @Sendable (TenantID) -> String, today: @escaping @Sendable () -> String
    ) {
        self.region = BlacklistFeedDatabase(region: region, rule: rule)
        self.definitions = definitions
        self.base = base
        self.today = today
    }

    package var name: String { "blacklist" }

    package func begin(_ feed: OutboxFeed) async throws {
        while try await !region.begin(feed) {
            for known in try await region.feeds()
            where known.tenant == feed.tenant.rawValue && known.source != feed.source {
                try await region.forget(known.tenant, source: known.source)
            }
        }
    }

    package func beginRebuild(_ feed: OutboxFeed) async throws {
        try await region.beginRebuild(feed)
    }

    package func endRebuild(_ feed: OutboxFeed) async throws {
        try await region.endRebuild(feed)
    }

    package func tidy(_ tenants: @Sendable () async throws -> [TenantRecord]) async throws {
        let feeds = try await region.feeds()
        guard !feeds.isEmpty else { return }
        let alive = Set(try await tenants().filter { $0.state != .deleting }.map(\.database))
        for feed in feeds where !alive.contains(feed.source) {
            try await region.forget(feed.tenant, source: feed.source)
        }
    }

    // MARK: Events

    private static let patientsStatement = PostgresStatement(
        "select r.patient from fhir.resource r where r.rid = any ($1) and r.patient is not null")

    // What an appointment was before: it may have been another patient's.
    private static let formerStatement = PostgresStatement(
        """
        select h.content
        from unnest($1::int8[], $2::int4[]) as e(rid, version)
        join fhir.history h on h.rid = e.rid and h.version = e.version
        where not h.deleted
        """)

    private static let noShowsStatement = PostgresStatement(
        """
        select r.patient, r.id, r.content
        from fhir.resource r
        where r.patient = any ($1) and r.type = $2 and not r.deleted
          and exists (select from fhir.token t where t.rid = r.rid and t.code = 'noshow')
        """)

    private static let contentsStatement = PostgresStatement(
        "select r.id, r.content from fhir.resource r where r.type = $2 and r.id = any ($1) and not r.deleted")

    package func handle(_ events: [OutboxEvent], from feed: OutboxFeed) async throws {
        guard let patientType = ResourceType.named("Patient"), let appointmentType = ResourceType.named("Appointment")
        else { return }
        let appointments = events.filter { $0.type == appointmentType }
        var patients = Set(events.filter { $0.type == patientType }.map(\.resourceID))
        guard !appointments.isEmpty || !patients.isEmpty else { return }
        let concerned = try await self.patients(of: appointments, appointmentType, feed)
        patients.formUnion(concerned)

        let noShows = try await noShows(of: patients, appointmentType, feed)
        // A patient's no-shows change by appointments only: without any, there is nothing that a Patient could change.
        let told = patients.filter { concerned.contains($0) || noShows[$0] != nil }.sorted()
        guard !told.isEmpty else { return }
        let claims = try await claims(of: told.filter { noShows[$0] != nil }, patientType, feed)
        try await region.tell(
            feed,
            told.map { BlacklistFeedDatabase.Told(id: $0, noShows: noShows[$0] ?? [], claims: claims[$0] ?? []) })
    }

    /// Whose appointments these are and were.
    private func patients(
        of events: [OutboxEvent], _ type: ResourceType, _ feed: OutboxFeed
    ) async throws -> Set<String> {
        guard !events.isEmpty else { return [] }
        let base = base(feed.tenant)
        // The version before a deletion is the last one with a patient.
        let former = events.filter { $0.version > 1 }
        let results = try await feed.database.pool.pipeline(
            [
                (Self.patientsStatement, [.int8Array(Array(Set(events.map(\.aggregate))))]),
                (
                    Self.formerStatement,
                    [.int8Array(former.map(\.aggregate)), .int4Array(former.map { $0.version - 1 })]
                ),
            ], deadline: Self.deadline)
        var patients = Set(try results[0].map { try $0.string(0) })
        for row in results[1] {
            let document = try Self.document(try row.bytes(0))
            if let patient = definitions.extract(document: document, type: type, baseURL: base).patient {
                patients.insert(patient)
            }
        }
        return patients
    }

    private func noShows(
        of patients: Set<String>, _ type: ResourceType, _ feed: OutboxFeed
    ) async throws -> [String: [BlacklistFeedDatabase.NoShow]] {
        let rows = try await feed.database.pool.query(
            Self.noShowsStatement, [.textArray(patients.sorted()), .int2(type.code)], deadline: Self.deadline)
        var noShows: [String: [BlacklistFeedDatabase.NoShow]] = [:]
        for row in rows {
            let appointment = try Self.document(try row.bytes(2)).root
            guard appointment["status"]?.stringIs("noshow") == true,
                let start = appointment["start"]?.string.flatMap({ DateRange($0) })
            else { continue }
            noShows[try row.string(0), default: []].append(
                BlacklistFeedDatabase.NoShow(appointment: try row.string(1), starts: start.low))
        }
        return noShows
    }

    private func claims(
        of patients: [String], _ type: ResourceType, _ feed: OutboxFeed
    ) async throws -> [String: [PersonIdentifier]] {
        guard !patients.isEmpty else { return [:] }
        let base = base(feed.tenant)
        let rows = try await feed.database.pool.query(
            Self.contentsStatement, [.textArray(patients), .int2(type.code)], deadline: Self.deadline)
        var claims: [String: [PersonIdentifier]] = [:]
        for row in rows {
            let patient = try Self.document(try row.bytes(1)).root
            claims[try row.string(0)] = PatientClaims(patient, today: today(), base: base).identifiers
        }
        return claims
    }

    private static var deadline: NIODeadline { .now() + .seconds(20) }

    private static func document(_ content: [UInt8]) throws -> JSONDocument {
        do {
            return try JSONDocument(content)
        } catch {
            throw EventRefusal("the stored resource is not JSON")
        }
    }
}
