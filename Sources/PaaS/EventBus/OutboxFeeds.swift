package import CloudModel
import PostgresDriver
package import TenantRegistry

/// How far a consumer is with a tenant's changes, as the last holder of its lease told.
package struct FeedReport: Sendable, Hashable {
    package let tenant: String
    package let consumer: String
    /// A worker holds the lease now; one with nothing to do gives it back.
    package let isHeld: Bool
    /// What an operator has asked for and no worker has begun.
    package let wish: FeedWish?
    /// Every change up to this number was taken in or waits.
    package let position: Int64
    /// Changes that wait, the parked ones included.
    package let deferred: Int64
    package let parked: Int64
    /// A JSON array of the first hundred parked changes with the reason of each.
    package let parkedChanges: String
    /// Why the feed does not go on.
    package let failure: String?
    /// RFC 3339, UTC.
    package let reportedAt: String
}

/// What an operator sees of the feeds and asks of them.
package struct OutboxFeeds: Sendable {
    private let region: RegionDatabase

    package init(region: RegionDatabase) {
        self.region = region
    }

    private static let feedsStatement = PostgresStatement(
        """
        select tenant, consumer, is_held, wish, position, deferred, parked, parked_changes, failure, reported_at
        from outbox.feeds('region', null)
        where $1::text is null or (tenant collate "C", consumer collate "C") > ($1, $2)
        order by tenant collate "C", consumer collate "C"
        limit $3
        """)

    /// The feeds of the region, by tenant and consumer.
    package func list(_ page: PageRequest) async throws(TenantRegistryError) -> Page<FeedReport> {
        do {
            let result = try await region.call(
                Self.feedsStatement,
                [
                    page.after.map { .text($0[0]) } ?? .null, page.after.map { .text($0[1]) } ?? .null,
                    .int4(page.fetchLimit),
                ])
            let reports = try result.map { row in
                FeedReport(
                    tenant: try row.string(0), consumer: try row.string(1), isHeld: try row.bool(2),
                    wish: try row.optionalString(3).flatMap(FeedWish.init), position: try row.int8(4),
                    deferred: try row.int8(5), parked: try row.int8(6), parkedChanges: try row.string(7),
                    failure: try row.optionalString(8), reportedAt: try row.string(9))
            }
            return Page(reports, of: page) { [$0.tenant, $0.consumer] }
        } catch {
            throw Self.failure(error)
        }
    }

    private static let askStatement = PostgresStatement("select consumer from outbox.ask('region', $1, $2)")

    /// Asks all consumers of a tenant for something; a worker begins it within seconds.
    ///
    /// - Throws: `unknown-tenant` when the tenant has no feed.
    package func ask(_ wish: FeedWish, of tenant: String) async throws(TenantRegistryError) {
        let asked: Int
        do {
            asked = try await region.call(Self.askStatement, [.text(tenant), .text(wish.rawValue)]).count
        } catch {
            throw Self.failure(error)
        }
        guard asked > 0 else { throw TenantRegistryError(.unknownTenant, "no such tenant") }
    }

    private static func failure(_ error: any Error) -> TenantRegistryError {
        guard let error = error as? PostgresError else {
            return TenantRegistryError(.unavailable, "the region database does not answer")
        }
        return TenantRegistryError(error)
    }
}
