import Coordination
import DatabaseService
import Logging
import NIOCore
import NIOPosix
import PostgresDriver
import SchemaCatalog
import SchemaMigration
import Synchronization
import TestSupport

/// A control database of its own, at the version of this build, with superuser connections as the controller has them.
struct ControlFixture: Sendable {
    let pool: PostgresPool

    /// Roles and their parameters belong to the cluster, which all databases share.
    private static let prepared = Task {
        try await TestPostgres.withPool { pool in
            try await pool.withConnection { connection in
                for role in ["medcloud_owner", "medcloud_gateway"] {
                    try await connection.execute("create role \(role)")
                }
                try await connection.execute("grant set on parameter control.acting to medcloud_owner")
            }
        }
    }

    /// - Parameter version: of an older build; nil is the one of this.
    static func run<Result: Sendable>(
        version: Int? = nil, _ body: @Sendable (ControlFixture) async throws -> Result
    ) async throws -> Result {
        try await TestPostgres.withPool(maximumConnections: 12) { pool in
            try await prepared.value
            try await pool.withConnection { connection in
                try await connection.execute(
                    """
                    do $grant$ begin
                        execute format('grant create on database %I to medcloud_owner', current_database());
                    end $grant$;
                    """)
            }
            let fixture = ControlFixture(pool: pool)
            try await fixture.migrate(to: version)
            return try await body(fixture)
        }
    }

    /// Brings the database to a version; nil is the one of this build.
    func migrate(to version: Int? = nil) async throws {
        let all = try RegionSchemas.current().control
        let series = try MigrationSeries(
            name: all.name, migrations: Array(all.migrations.prefix(version ?? all.version)))
        try await pool.withConnection { try await Migrator(series).run(on: $0, role: "medcloud_owner") }
    }

    /// Leads on `session` and gives the context of that term.
    func lead(on session: PostgresConnection, lasting duration: Duration = .seconds(60)) async throws -> LeaderContext?
    {
        try await LeaderLease.take(
            on: session, holder: "00000000-0000-4000-8000-000000000000", version: "test", process: 1,
            duration: duration
        ).map { LeaderContext(control: pool, fencingToken: $0.term) }
    }

    private static let beginStatement = PostgresStatement(
        "select control.begin_operation('test', $1, $2, $3, '{}', $4::uuid, $5::uuid[], make_interval(secs => $6))")

    /// Asks for an operation; its id.
    func begin(
        _ kind: String, tenant: String? = "h1", subject: String = "", parent: String? = nil, after: [String] = [],
        deadline: Double = 60
    ) async throws -> String {
        try await pool.query(
            Self.beginStatement,
            [
                .text(kind), tenant.map { .text($0) } ?? .null, .text(subject), parent.map { .uuid($0) } ?? .null,
                .text("{" + after.joined(separator: ",") + "}"), .float8(deadline),
            ])[0].string(0)
    }

    private static let cancelStatement = PostgresStatement(
        "select control.cancel_operation('region', 'test', $1) from generate_series(1, $2)")

    /// - Parameter times: all in one transaction, so that the operation has not ended between them.
    func cancel(_ id: String, times: Int32 = 1) async throws {
        try await pool.query(Self.cancelStatement, [.uuid(id), .int4(times)])
    }

    private static let statusStatement = PostgresStatement(
        "select seq, \(OperationStatus.columns) from control.operations('region', $1, null, null, null, null, null, 1)")

    func status(_ id: String) async throws -> OperationStatus {
        try OperationStatus(row: try await pool.query(Self.statusStatement, [.uuid(id)])[0], from: 1)
    }

    /// The operation once it has ended.
    func ended(_ id: String) async throws -> OperationStatus {
        try await status(id) { $0.phase.isEnd }
    }

    /// The operation once `condition` holds.
    func status(
        _ id: String, _ condition: (OperationStatus) -> Bool
    ) async throws -> OperationStatus {
        let end = ContinuousClock.now + .seconds(30)
        while true {
            let status = try await status(id)
            if condition(status) { return status }
            guard ContinuousClock.now < end else { throw Late(status: status) }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    struct Late: Error {
        let status: OperationStatus
    }

    private static let eventsStatement = PostgresStatement(
        "select number, \(OperationStatus.columns) from control.operation_events('region', array[$1::uuid], array[0])")

    /// What a watcher of the operation is told.
    func events(_ id: String) async throws -> [OperationStatus] {
        try await pool.query(Self.eventsStatement, [.uuid(id)]).map { try OperationStatus(row: $0, from: 1) }
    }

    /// Runs an engine while `body` runs.
    func withEngine<Result: Sendable>(
        _ leader: LeaderContext, _ handlers: [any OperationHandler], parallel: Int = 16, share: Int = 32,
        _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        var settings = OperationEngine.Settings()
        settings.parallel = parallel
        settings.share = share
        settings.interval = .milliseconds(200)
        let engine = OperationEngine(
            leader: leader, handlers: handlers, settings: settings, logger: Logger(label: "test"))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await engine.run() }
            let result = try await body()
            group.cancelAll()
            try await group.waitForAll()
            return result
        }
    }
}

/// What steps did, in order.
final class Journal: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func note(_ line: String) { lines.withLock { $0.append(line) } }
}

/// A handler made of closures.
struct Handler: OperationHandler {
    let kind: String
    let steps: [OperationStep]
    var pointOfNoReturn: String? = nil
}
