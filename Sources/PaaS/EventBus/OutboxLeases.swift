import CloudModel
import PostgresDriver
import TenantRegistry

/// A lease of one tenant's changes for one consumer.
struct OutboxLease: Sendable, Hashable {
    let tenant: TenantID
    let token: Int64
    /// What an operator had asked for when the lease began.
    let wish: FeedWish?
    /// How far the consumer was, as the region's database knows it.
    let position: Int64
    let heard: HeardChanges
}

/// What the region's database has heard of a tenant's changes.
struct HeardChanges: Sendable, Hashable {
    /// Every change up to here was handled, but for those that waited.
    private(set) var position: Int64 = 0
    /// Ascending.
    private(set) var waiting: [Int64] = []

    static let maximumWaiting = 1000
}

extension HeardChanges {
    /// - Parameter waiting: the first changes that wait, ascending. Where they are more than can be kept, what comes after those
    ///   counts as not heard of.
    init(upTo position: Int64, waiting: [Int64]) {
        self.waiting = Array(waiting.prefix(Self.maximumWaiting))
        self.position = waiting.dropFirst(Self.maximumWaiting).first.map { $0 - 1 } ?? position
    }
}

/// What an operator may ask of a feed.
package enum FeedWish: String, Sendable, Hashable, CaseIterable {
    /// Try parked changes again.
    case retry
    /// Deliver everything again from the beginning.
    case rebuild
}

/// The leases in the region database, for one consumer and one process.
struct OutboxLeases: Sendable {
    enum Claim: Sendable, Hashable {
        case mine(OutboxLease)
        /// Another process has it, for so long at least.
        case elsewhere(Duration)
    }

    /// What a holder learns when it renews.
    enum News: Sendable, Hashable {
        case lost
        case wish(FeedWish)
        /// Another holder has let its lease expire.
        case expired
    }

    let region: RegionDatabase
    let consumer: String
    /// Of this process, in no other's use ever.
    let holder: String
    let duration: Duration

    private var milliseconds: PostgresValue { .int8(duration.milliseconds) }

    private static let claimStatement = PostgresStatement(
        "select is_mine, token, wish, remaining, position, heard, waiting from outbox.claim($1, $2, $3, $4)")

    func claim(_ tenant: TenantID) async throws -> Claim {
        let result = try await region.call(
            Self.claimStatement, [.text(tenant.rawValue), .text(consumer), .text(holder), milliseconds])
        guard let row = result.first else { return .elsewhere(duration) }
        guard try row.bool(0) else { return .elsewhere(.milliseconds(try row.int8(3))) }
        return .mine(
            OutboxLease(
                tenant: tenant, token: try row.int8(1), wish: try row.optionalString(2).flatMap(FeedWish.init),
                position: try row.int8(4), heard: HeardChanges(upTo: try row.int8(5), waiting: try row.int8Array(6))))
    }

    private static let renewStatement = PostgresStatement(
        "select tenant, news from outbox.renew('region', $1, $2, $3, $4, $5)")

    func renew(_ leases: [OutboxLease]) async throws -> [(TenantID, News)] {
        let result = try await region.call(
            Self.renewStatement,
            [
                .text(consumer), .text(holder), milliseconds, .textArray(leases.map(\.tenant.rawValue)),
                .int8Array(leases.map(\.token)),
            ])
        return try result.compactMap { row in
            guard let tenant = TenantID(try row.string(0)) else { return nil }
            switch try row.string(1) {
            case "lost": return (tenant, .lost)
            case "expired": return (tenant, .expired)
            case let word: return FeedWish(rawValue: word).map { (tenant, .wish($0)) }
            }
        }
    }

    private static let releaseStatement = PostgresStatement("select outbox.release($1, $2, $3, $4, $5)")

    /// - Parameter tokenSeen: the highest token met in the tenant's database.
    func release(_ lease: OutboxLease, tokenSeen: Int64) async throws {
        try await region.call(
            Self.releaseStatement,
            [
                .text(lease.tenant.rawValue), .text(consumer), .text(holder), .int8(lease.token), .int8(tokenSeen),
            ])
    }

    private static let wakeStatement = PostgresStatement("select tenant from outbox.wake('region', $1, $2)")

    /// Tells the holders of these tenants' leases that there is work.
    ///
    /// - Returns: the tenants that nobody holds.
    func wake(_ tenants: [TenantID]) async throws -> [TenantID] {
        let result = try await region.call(
            Self.wakeStatement, [.text(consumer), .textArray(tenants.map(\.rawValue))])
        return try result.compactMap { TenantID(try $0.string(0)) }
    }

    private static let reportStatement = PostgresStatement(
        "select outbox.report($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10)")

    func report(_ standing: FeedStanding, _ lease: OutboxLease) async throws {
        try await region.call(
            Self.reportStatement,
            [
                .text(lease.tenant.rawValue), .text(consumer), .int8(lease.token), .int8(standing.position),
                .int8(standing.heard.position), .int8Array(standing.heard.waiting), .int8(standing.deferred),
                .int8(standing.parked), .text(standing.parkedChanges), standing.failure.map { .text($0) } ?? .null,
            ])
    }

    private static let failStatement = PostgresStatement("select outbox.fail($1, $2, $3, $4)")

    /// The feed cannot go on, for a reason as ``FeedStanding/failure`` has it. The rest of what was reported stays.
    func fail(_ reason: String, _ lease: OutboxLease) async throws {
        try await region.call(
            Self.failStatement, [.text(lease.tenant.rawValue), .text(consumer), .int8(lease.token), .text(reason)])
    }

    private static let grantStatement = PostgresStatement("select outbox.grant_wish($1, $2, $3, $4)")

    /// The wish has been begun. What else has been asked for meanwhile stays.
    func grantWish(_ wish: FeedWish, _ lease: OutboxLease) async throws {
        try await region.call(
            Self.grantStatement,
            [.text(lease.tenant.rawValue), .text(consumer), .int8(lease.token), .text(wish.rawValue)])
    }

    private static let retainStatement = PostgresStatement("select outbox.retain('region', $1)")

    /// Forgets what was reported of other tenants than these.
    func retain(_ tenants: [String]) async throws {
        try await region.call(Self.retainStatement, [.textArray(tenants)])
    }
}

/// How far a feed is, as its holder tells the region.
struct FeedStanding: Sendable, Hashable {
    var position: Int64 = 0
    var heard = HeardChanges()
    /// Changes that wait, the parked ones included.
    var deferred: Int64 = 0
    var parked: Int64 = 0
    /// A JSON array of the first parked changes.
    var parkedChanges = "[]"
    /// Why the feed does not go on; a code, nothing of a patient.
    var failure: String?
}

extension Duration {
    /// Whole milliseconds.
    var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }

    var nanosecondsClamped: Int64 {
        components.seconds.multipliedReportingOverflow(by: 1_000_000_000).overflow
            ? .max : components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
    }
}
