import CloudModel
import EventBus
import PostgresDriver
import RegionalRecord
import TenantRegistry

/// The feeding side of the blacklist in the region database.
struct BlacklistFeedDatabase: Sendable {
    let region: RegionDatabase
    let rule: BlacklistRule?

    /// An appointment that was not kept.
    struct NoShow: Sendable, Hashable {
        let appointment: String
        /// Microseconds since 1970.
        let starts: Int64
    }

    /// What is true of a patient now.
    struct Told: Sendable, Hashable {
        let id: String
        let noShows: [NoShow]
        /// Not needed without no-shows.
        let claims: [PersonIdentifier]
    }

    private func identity(_ feed: OutboxFeed) -> [PostgresValue] {
        [.text(feed.tenant.rawValue), .text(feed.source), .int8(feed.token)]
    }

    private static let beginStatement = PostgresStatement("select blacklist.begin_feed($1, $2, $3)")

    /// - Returns: false when no-shows of another database of this tenant are to be forgotten first.
    func begin(_ feed: OutboxFeed) async throws -> Bool {
        try await region.call(Self.beginStatement, identity(feed))[0].bool(0)
    }

    private static let tellStatement = PostgresStatement(
        "select blacklist.tell($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")

    func tell(_ feed: OutboxFeed, _ patients: [Told]) async throws {
        var factPatients: [Int32] = []
        var appointments: [String?] = []
        var starts: [Int64?] = []
        var claimPatients: [Int32] = []
        var systems: [String?] = []
        var values: [String?] = []
        for (index, patient) in patients.enumerated() {
            for noShow in patient.noShows {
                factPatients.append(Int32(index + 1))
                appointments.append(noShow.appointment)
                starts.append(noShow.starts)
            }
            for claim in patient.claims {
                claimPatients.append(Int32(index + 1))
                systems.append(claim.system)
                values.append(claim.value)
            }
        }
        let told: [PostgresValue] = [
            rule.value, .textArray(patients.map(\.id)), .int4Array(factPatients), .textArray(appointments),
            .timestamptzArray(starts), .int4Array(claimPatients), .textArray(systems), .textArray(values),
        ]
        try await region.call(Self.tellStatement, identity(feed) + told)
    }

    private static let beginRebuildStatement = PostgresStatement("select blacklist.begin_rebuild($1, $2, $3)")
    private static let endRebuildStatement = PostgresStatement("select blacklist.end_rebuild($1, $2, $3, $4, 500)")

    func beginRebuild(_ feed: OutboxFeed) async throws {
        try await region.call(Self.beginRebuildStatement, identity(feed))
    }

    /// Removes the no-shows that the rebuild did not meet.
    func endRebuild(_ feed: OutboxFeed) async throws {
        while try await region.call(Self.endRebuildStatement, identity(feed) + [rule.value])[0].int4(0) > 0 {}
    }

    private static let feedsStatement = PostgresStatement("select tenant, database from blacklist.feeds('region')")

    /// The tenants that the region has heard from, with the databases they came from.
    func feeds() async throws -> [(tenant: String, source: String)] {
        try await region.call(Self.feedsStatement, []).map { (try $0.string(0), try $0.string(1)) }
    }

    private static let forgetStatement = PostgresStatement("select blacklist.forget('region', $1, $2, $3, 500)")

    func forget(_ tenant: String, source: String) async throws {
        let values: [PostgresValue] = [.text(tenant), .text(source), rule.value]
        while try await region.call(Self.forgetStatement, values)[0].int4(0) > 0 {}
    }
}
