import CloudModel
package import EventBus
import NIOCore
import PostgresDriver
package import TenantRegistry

/// The copies of the blacklist in the tenants' databases, which the statement that books asks.
package struct BlacklistCopy: RegionCopy {
    private let region: RegionDatabase
    /// Entries that are copied at once.
    private let batch: Int32

    package init(region: RegionDatabase, batch: Int32 = 1000) {
        self.region = region
        self.batch = batch
    }

    package var name: String { "blacklist-copy" }
    package var channel: String { "blacklist" }

    // MARK: The region

    private static let headStatement = PostgresStatement("select position, mark, at from blacklist.head('region')")
    private static let copiesStatement = PostgresStatement(
        """
        select tenant, database, position, mark, noted_at, behind, lag, is_asked
        from blacklist.copies('region')
        """)

    package func standing() async throws -> RegionCopyStanding {
        // The head first: a copy that is noted in between is beyond it, and is looked at again.
        let head = try await region.call(Self.headStatement, [])[0]
        let copies = try await region.call(Self.copiesStatement, [])
        return RegionCopyStanding(
            head: RegionPosition(number: try head.int8(0), mark: try head.optionalString(1)),
            at: try head.timestamptz(2),
            copies: try copies.map { row in
                RegionCopyStanding.Copy(
                    tenant: try row.string(0), source: try row.string(1),
                    position: RegionPosition(number: try row.int8(2), mark: try row.optionalString(3)),
                    notedAt: try row.timestamptz(4), behind: try row.int8(5),
                    lag: .milliseconds(try row.int8(6)), isAsked: try row.bool(7))
            })
    }

    private static let knowsStatement = PostgresStatement("select blacklist.knows('region', $1, $2)")
    private static let changesStatement = PostgresStatement(
        """
        select position, mark, id, system, value, starts, ends, is_active, age, is_head
        from blacklist.changes('region', $1, $2)
        """)
    private static let noteStatement = PostgresStatement("select blacklist.note_copy($1, $2, $3, $4, $5)")

    // MARK: A tenant

    private static let takeStatement = PostgresStatement("select position, mark, is_whole from blacklist.take($1)")
    private static let anewStatement = PostgresStatement("select blacklist.begin_anew($1)")
    private static let applyStatement = PostgresStatement(
        "select blacklist.apply($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")

    package func beginAnew(_ feed: OutboxFeed) async throws {
        let pool = feed.database.pool
        _ = try await pool.query(Self.takeStatement, [.int8(feed.token)], deadline: Self.deadline)
        _ = try await pool.query(Self.anewStatement, [.int8(feed.token)], deadline: Self.deadline)
    }

    package func bring(_ feed: OutboxFeed) async throws -> BroughtCopy {
        let pool = feed.database.pool
        let taken = try await pool.query(Self.takeStatement, [.int8(feed.token)], deadline: Self.deadline)[0]
        var position = RegionPosition(number: try taken.int8(0), mark: try taken.optionalString(1))
        var isWhole = try taken.bool(2)
        // A position that the region does not know is of another history: one of them was restored.
        let isKnown = try await region.call(Self.knowsStatement, [.int8(position.number), Self.mark(position)])[0].bool(
            0)
        if !isKnown {
            _ = try await pool.query(Self.anewStatement, [.int8(feed.token)], deadline: Self.deadline)
            position = RegionPosition(number: 0, mark: nil)
            isWhole = false
        }
        var ages: [Duration] = []
        while true {
            let changes = try await region.call(Self.changesStatement, [.int8(position.number), .int4(batch)])
            if changes.isEmpty, isWhole { break }
            let isHead = try changes.last.map { try $0.bool(9) } ?? true
            if let last = changes.last {
                position = RegionPosition(number: try last.int8(0), mark: try last.optionalString(1))
            }
            try await apply(changes, position, isWhole: isHead, feed)
            ages += try changes.map { .microseconds(try $0.int8(8)) }
            isWhole = isHead
            if isHead { break }
        }
        try await region.call(
            Self.noteStatement,
            [
                .text(feed.tenant.rawValue), .text(feed.source), .int8(feed.token), .int8(position.number),
                Self.mark(position),
            ])
        return BroughtCopy(position: position, ages: ages)
    }

    private func apply(
        _ changes: PostgresResult, _ position: RegionPosition, isWhole: Bool, _ feed: OutboxFeed
    ) async throws {
        _ = try await feed.database.pool.query(
            Self.applyStatement,
            [
                .int8(feed.token), .int8(position.number), Self.mark(position), .bool(isWhole),
                .textArray(try changes.map { try $0.string(2) }), .textArray(try changes.map { try $0.string(3) }),
                .textArray(try changes.map { try $0.string(4) }),
                .timestamptzArray(try changes.map { try $0.timestamptz(5) }),
                .timestamptzArray(try changes.map { try $0.timestamptz(6) }),
                .boolArray(try changes.map { try $0.bool(7) }),
            ], deadline: Self.deadline)
    }

    private static func mark(_ position: RegionPosition) -> PostgresValue {
        position.mark.map { .uuid($0) } ?? .null
    }

    private static var deadline: NIODeadline { .now() + .seconds(10) }
}
