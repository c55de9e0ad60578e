import ClinicalData
import NIOCore
import PostgresDriver
import StrictJSON

/// The outbox of one tenant's database, for one consumer under one lease.
struct TenantOutbox: Sendable {
    let pool: PostgresPool
    let consumer: String
    let token: Int64
    /// The name of the tenant's database.
    let source: String
    /// How long one statement may take.
    let timeout: TimeAmount

    struct Start: Sendable {
        let position: Int64
        let rebuildUntil: Int64?
    }

    /// A look at what is to be done.
    struct Look: Sendable {
        /// Beyond the position, by number.
        let changes: [OutboxChange]
        /// Waiting ones that are due, the first of each resource.
        let due: [OutboxChange]
        /// The lowest id of the transactions that ran in this database before `changes` was read; 0 when nobody asked.
        let oldestRunning: Int64
        /// How long ago each of `changes` was written.
        let ages: [Duration]
    }

    /// What waits after an advance.
    struct Waiting: Sendable {
        let deferred: Int64
        let parked: Int64
        /// When the next try is due; nil when only parked changes wait.
        let nextDue: Duration?
    }

    private func run(_ statement: PostgresStatement, _ values: [PostgresValue]) async throws -> PostgresResult {
        try await pool.query(statement, values, deadline: .now() + timeout)
    }

    private static let takeStatement = PostgresStatement("select position, rebuild_until from outbox.take($1, $2)")

    /// - Throws: `PostgresError` with SQLSTATE MC423 and the token in its detail when a later lease was here.
    func take() async throws -> Start {
        let result = try await run(Self.takeStatement, [.text(consumer), .int8(token)])
        guard let row = result.first else { throw PostgresError(.decoding, "the outbox gave no position") }
        return Start(position: try row.int8(0), rebuildUntil: try row.optionalInt8(1))
    }

    private static let columns =
        "k.seq, k.rid, k.type, k.id, k.version, ascii(k.method::text)::int2 as method, k.at"

    // Of this database alone: others write no changes here, and may be open for hours. Any role sees these columns. Their ids
    // have 32 bits; the next one in 64 bits is near them, on either side. A transaction that is being prepared is among the
    // prepared ones before it leaves the running ones, so those are read first.
    private static let oldestStatement = PostgresStatement(
        """
        select coalesce(min(n.next - ((n.next - r.xid + 2147483648) & 4294967295) + 2147483648), n.next)
        from (select pg_snapshot_xmax(pg_current_snapshot())::text::int8 as next) n
        left join (
            select a.backend_xid::text::int8 as xid from pg_stat_activity a where a.datname = current_database()
            union all
            select p.transaction::text::int8 from pg_prepared_xacts p where p.database = current_database()
        ) r on r.xid is not null
        group by n.next
        """)

    private static let changesStatement = PostgresStatement(
        """
        select \(columns), 0 as attempts,
            exists (select from outbox.deferred d where d.consumer = $1 and d.rid = k.rid) as is_blocked,
            (extract(epoch from medcloud.now() - k.at) * 1000000)::int8 as age
        from fhir.change k
        where k.seq > $2
        order by k.seq
        limit $3
        """)

    private static let dueStatement = PostgresStatement(
        """
        select \(columns), d.attempts, false as is_blocked
        from (
            select distinct on (h.rid) h.seq, h.attempts, h.due_at, h.is_parked
            from outbox.deferred h
            where h.consumer = $1
            order by h.rid, h.seq
        ) d
        join fhir.change k on k.seq = d.seq
        where not d.is_parked and d.due_at <= clock_timestamp()
        order by d.due_at, d.seq
        limit $2
        """)

    /// - Parameters:
    ///   - limit: of changes, and of waiting ones.
    ///   - whoRuns: whether ``Look/oldestRunning`` is wanted.
    func look(after position: Int64, limit: Int, whoRuns: Bool) async throws -> Look {
        let count = PostgresValue.int8(Int64(limit))
        // Before the changes, in a transaction of its own: what a transaction wrote that had ended by then is among them.
        let oldestRunning = whoRuns ? try await run(Self.oldestStatement, [])[0].int8(0) : 0
        let results = try await pool.pipeline(
            [
                (Self.changesStatement, [.text(consumer), .int8(position), count]),
                (Self.dueStatement, [.text(consumer), count]),
            ], deadline: .now() + timeout)
        return Look(
            changes: try results[0].map(change), due: try results[1].map(change),
            oldestRunning: oldestRunning, ages: try results[0].map { .microseconds(max(0, try $0.int8(9))) })
    }

    private func change(_ row: PostgresRow) throws -> OutboxChange {
        guard let type = ResourceType[try row.int2(2)],
            let method = WriteMethod(rawValue: UInt8(truncatingIfNeeded: try row.int2(5)))
        else { throw PostgresError(.decoding, "unknown resource type or method") }
        return OutboxChange(
            event: OutboxEvent(
                id: .init(source, try row.int8(0)), aggregate: try row.int8(1), type: type,
                resourceID: try row.string(3), version: try row.int4(4), method: method, at: try row.timestamptz(6)),
            attempts: try row.int4(7), isBlocked: try row.bool(8))
    }

    private static let transactionStatement = PostgresStatement("select pg_current_xact_id()::text::int8")

    /// A transaction id that nobody had before this call.
    func newTransactionID() async throws -> Int64 {
        try await run(Self.transactionStatement, [])[0].int8(0)
    }

    private static let advanceStatement = PostgresStatement(
        "select deferred, parked, next_due from outbox.advance($1, $2, $3, $4, $5, $6, $7, $8, $9)")

    func advance(to position: Int64, _ record: DeliveryRecord) async throws -> Waiting {
        let deferred = record.deferred
        let row = try await run(
            Self.advanceStatement,
            [
                .text(consumer), .int8(token), .int8(position), .int8Array(record.done),
                .int8Array(deferred.map(\.sequence)), .int4Array(deferred.map(\.attempts)),
                .int8Array(deferred.map(\.pause.milliseconds)), .boolArray(deferred.map(\.isParked)),
                .textArray(deferred.map(\.reason)),
            ])[0]
        return Waiting(
            deferred: try row.int8(0), parked: try row.int8(1),
            nextDue: try row.optionalInt8(2).map { .milliseconds($0) })
    }

    private static let waitingStatement = PostgresStatement(
        "select d.seq from outbox.deferred d where d.consumer = $1 order by d.seq limit $2")

    /// The first changes that wait, by number.
    func waiting(limit: Int) async throws -> [Int64] {
        try await run(Self.waitingStatement, [.text(consumer), .int8(Int64(limit))]).map { try $0.int8(0) }
    }

    private static let parkedStatement = PostgresStatement(
        """
        select d.seq, k.type, k.id, k.version, d.attempts, d.reason
        from outbox.deferred d
        join fhir.change k on k.seq = d.seq
        where d.consumer = $1 and d.is_parked
        order by d.seq
        limit 100
        """)

    /// The first hundred parked changes as a JSON array.
    func parkedChanges() async throws -> String {
        let parked = try await run(Self.parkedStatement, [.text(consumer)])
        var writer = JSONWriter()
        try writer.array { list in
            for row in parked {
                guard let type = ResourceType[try row.int2(1)] else {
                    throw PostgresError(.decoding, "unknown resource type")
                }
                try list.object { change in
                    change.member("event", OutboxEvent.ID(source, try row.int8(0)).description)
                    change.member("type", type.name)
                    change.member("id", try row.string(2))
                    change.member("version", try row.int4(3))
                    change.member("attempts", try row.int4(4))
                    change.member("reason", try row.string(5))
                }
            }
        }
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private static let retryStatement = PostgresStatement("select outbox.retry($1, $2)")
    private static let goBackStatement = PostgresStatement("select outbox.go_back($1, $2, $3, $4)")
    private static let rewindStatement = PostgresStatement("select outbox.rewind($1, $2)")
    private static let endRebuildStatement = PostgresStatement("select outbox.end_rebuild($1, $2)")

    func retry() async throws {
        _ = try await run(Self.retryStatement, [.text(consumer), .int8(token)])
    }

    /// Hands out again what was not heard of.
    func goBack(to heard: HeardChanges) async throws {
        _ = try await run(
            Self.goBackStatement,
            [.text(consumer), .int8(token), .int8(heard.position), .int8Array(heard.waiting)])
    }

    func rewind() async throws {
        _ = try await run(Self.rewindStatement, [.text(consumer), .int8(token)])
    }

    func endRebuild() async throws {
        _ = try await run(Self.endRebuildStatement, [.text(consumer), .int8(token)])
    }
}
