package import ClinicalData
package import CloudModel
package import EventBus
import NIOCore
import PostgresDriver
import StrictJSON
package import TenantRegistry

/// Follows the tenants' outboxes and keeps the region's patient index and record locator.
///
/// It takes from an event only which resource changed, and tells the region what that resource and its patient's counts are
/// now: events may come again, and a later state does no harm to an earlier event.
package struct PatientIndexFeed: EventConsumer {
    private let index: PatientIndexDatabase
    private let definitions: Definitions
    private let base: @Sendable (TenantID) -> String
    private let today: @Sendable () -> String

    /// - Parameters:
    ///   - base: A tenant's FHIR base without a slash at its end.
    ///   - today: The date in UTC, `2026-11-29`.
    package init(
        region: RegionDatabase, definitions: Definitions = .r4, base: @escaping @Sendable (TenantID) -> String,
        today: @escaping @Sendable () -> String
    ) {
        index = PatientIndexDatabase(region: region)
        self.definitions = definitions
        self.base = base
        self.today = today
    }

    package var name: String { "patient-index" }

    package func begin(_ feed: OutboxFeed) async throws {
        while try await !index.begin(feed.tenant.rawValue, source: feed.source, token: feed.token) {
            for known in try await index.feeds()
            where known.tenant == feed.tenant.rawValue && known.source != feed.source {
                try await index.forget(known.tenant, source: known.source)
            }
        }
    }

    package func beginRebuild(_ feed: OutboxFeed) async throws {
        try await index.beginRebuild(feed.tenant.rawValue, source: feed.source, token: feed.token)
    }

    package func endRebuild(_ feed: OutboxFeed) async throws {
        try await index.endRebuild(feed.tenant.rawValue, source: feed.source, token: feed.token)
    }

    package func tidy(_ tenants: @Sendable () async throws -> [TenantRecord]) async throws {
        let feeds = try await index.feeds()
        guard !feeds.isEmpty else { return }
        let alive = Set(try await tenants().filter { $0.state != .deleting }.map(\.database))
        for feed in feeds where !alive.contains(feed.source) {
            try await index.forget(feed.tenant, source: feed.source)
        }
    }

    // MARK: Events

    private static let statesStatement = PostgresStatement(
        """
        select r.type, r.id, r.version, r.deleted, r.patient,
            case when r.type = $2 and not r.deleted then r.content else '' end as content
        from fhir.resource r
        where r.rid = any ($1)
        """)

    // What a resource was before: it may have been another patient's.
    private static let formerStatement = PostgresStatement(
        """
        select h.type, h.content
        from unnest($1::int8[], $2::int4[]) as e(rid, version)
        join fhir.history h on h.rid = e.rid and h.version = e.version
        where not h.deleted
        """)

    private static let countStatement = PostgresStatement(
        """
        select r.patient, r.type, count(*), max(r.last_updated)
        from fhir.resource r
        where r.patient = any ($1) and not r.deleted
        group by r.patient, r.type
        """)

    package func handle(_ events: [OutboxEvent], from feed: OutboxFeed) async throws {
        guard let patientType = ResourceType.named("Patient") else { return }
        let pool = feed.database.pool
        let deadline = NIODeadline.now() + .seconds(20)
        let base = base(feed.tenant)
        let moved = events.filter { $0.version > 1 && $0.type != patientType && $0.method != .delete }
        let results = try await pool.pipeline(
            [
                (
                    Self.statesStatement,
                    [.int8Array(Array(Set(events.map(\.aggregate)))), .int2(patientType.code)]
                ),
                (
                    Self.formerStatement,
                    [.int8Array(moved.map(\.aggregate)), .int4Array(moved.map { $0.version - 1 })]
                ),
            ], deadline: deadline)

        var patients: Set<String> = []
        var sources: [PatientIndexDatabase.Source] = []
        for row in results[0] {
            if let patient = try row.optionalString(4) { patients.insert(patient) }
            guard try row.int2(0) == patientType.code else { continue }
            sources.append(
                PatientIndexDatabase.Source(
                    id: try row.string(1), version: try row.int4(2),
                    claims: try row.bool(3) ? nil : try claims(try row.bytes(5), feed.tenant, base)))
        }
        for row in results[1] {
            guard let type = ResourceType[try row.int2(0)] else { continue }
            let document = try Self.document(try row.bytes(1))
            if let patient = definitions.extract(document: document, type: type, baseURL: base).patient {
                patients.insert(patient)
            }
        }

        let counted = patients.sorted()
        var holdings: [PatientIndexDatabase.Holding] = []
        if !counted.isEmpty {
            let positions = Dictionary(uniqueKeysWithValues: zip(counted, counted.indices))
            let counts = try await pool.query(Self.countStatement, [.textArray(counted)], deadline: deadline)
            for row in counts {
                guard let patient = positions[try row.string(0)], let type = ResourceType[try row.int2(1)] else {
                    continue
                }
                holdings.append(
                    PatientIndexDatabase.Holding(
                        patient: patient, type: type.name, count: try row.int8(2), lastChange: try row.timestamptz(3)))
            }
        }
        guard !sources.isEmpty || !counted.isEmpty else { return }
        try await index.apply(
            feed.tenant.rawValue, source: feed.source, token: feed.token, sources: sources, counted: counted,
            holdings: holdings)
    }

    private func claims(
        _ content: [UInt8], _ tenant: TenantID, _ base: String
    ) throws -> [(system: String, value: String)] {
        let claims = PatientClaims(try Self.document(content).root, today: today(), base: base)
        return claims.identifiers.map { ($0.system, $0.value) }
            + claims.samePatients.map { ("", "\(tenant.rawValue)/\($0)") }
    }

    private static func document(_ content: [UInt8]) throws -> JSONDocument {
        do {
            return try JSONDocument(content)
        } catch {
            throw EventRefusal("the stored resource is not JSON")
        }
    }
}
