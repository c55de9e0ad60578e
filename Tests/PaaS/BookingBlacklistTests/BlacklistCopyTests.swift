import CloudModel
import CloudTelemetry
import Logging
import PostgresDriver
import RegionalRecord
import TenantRegistry
import TestSupport
import Testing

@testable import BookingBlacklist
@testable import EventBus

@Suite struct BlacklistCopyTests {
    /// A tenant with its copy. The process's pumps, which other tests run, leave it alone as long as its lease is held.
    private struct Copied: Sendable {
        let fixture: BlacklistFixture
        let tenant: TenantID
        let database: TenantDatabase
        /// Of the lease; 0 when the pumps may have it.
        let token: Int64

        init(holds: Bool = true) async throws {
            fixture = try await BlacklistFixture()
            tenant = try await fixture.region.makeTenant()
            database = try await fixture.region.tenantDatabases().open(TenantAccess(minting: tenant, origin: .token))
            let leases = OutboxLeases(
                region: fixture.database, consumer: "blacklist-copy", holder: fixture.mark, duration: .seconds(600))
            var token: Int64 = 0
            while holds, token == 0 {
                if case .mine(let lease) = try await leases.claim(tenant) {
                    token = lease.token
                } else {
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            self.token = token
        }

        @discardableResult
        func bring(token: Int64? = nil, batch: Int32 = 3) async throws -> BroughtCopy {
            try await BlacklistCopy(region: fixture.database, batch: batch).bring(
                OutboxFeed(tenant: tenant, database: database, token: token ?? self.token))
        }

        func beginAnew() async throws {
            try await BlacklistCopy(region: fixture.database).beginAnew(
                OutboxFeed(tenant: tenant, database: database, token: token))
        }

        private static let barredStatement = PostgresStatement("select blacklist.is_barred($1, $2, $3)")

        func isBarred(_ names: String..., days: Int = 0) async throws -> Bool {
            try await database.pool.query(
                Self.barredStatement,
                [
                    .textArray(names.map { _ in BlacklistFixture.system }), .textArray(names.map(fixture.person)),
                    .timestamptz(BlacklistFixture.daysAgo(-days)),
                ])[0].bool(0)
        }

        /// Runs statements as the superuser in the tenant's database.
        func execute(_ statements: String...) async throws {
            let pool = fixture.region.superuser(
                cluster: "cell-1", database: database.tenant.database, maximumConnections: 1)
            for statement in statements { try await pool.withConnection { try await $0.execute(statement) } }
            await pool.shutdown()
        }
    }

    @Test func `a copy has what bars, from when until when`() async throws {
        let copied = try await Copied()
        let fixture = copied.fixture
        for name in ["x", "y", "z"] { try await fixture.write(fixture.flag(name, daysFromNow: -1...10)) }
        let lifted = try await fixture.write(fixture.flag("lifted"))
        try await copied.bring()
        #expect(try await copied.isBarred("x"))
        #expect(try await copied.isBarred("nobody", "y"))
        #expect(try await !copied.isBarred("nobody"))
        #expect(try await copied.isBarred("x", days: 9))
        #expect(try await !copied.isBarred("x", days: 11))
        #expect(try await !copied.isBarred("x", days: -2))
        #expect(try await copied.isBarred("lifted"))
        try await fixture.write(fixture.flag("lifted", status: "inactive"), id: lifted.id)
        try await copied.bring()
        #expect(try await !copied.isBarred("lifted"))
        #expect(try await copied.isBarred("x"))
    }

    @Test func `a lower token changes nothing`() async throws {
        let copied = try await Copied()
        try await copied.bring(token: copied.token + 1)
        await #expect {
            try await copied.bring()
        } throws: { error in
            (error as? PostgresError)?.sqlState == "MC423"
                && (error as? PostgresError)?.detail == "\(copied.token + 1)"
        }
    }

    /// The tenant's database or the region's was restored: a position beyond the head, and one that another history gave.
    @Test(arguments: [
        "update blacklist.copy set position = 9000000000000000000",
        "update blacklist.copy set mark = '00000000-0000-4000-8000-000000000000'",
        "update blacklist.copy set position = position - 1",
    ])
    func `a copy of another history is made anew`(_ damage: String) async throws {
        let copied = try await Copied()
        let fixture = copied.fixture
        for name in ["x", "y"] { try await fixture.write(fixture.flag(name)) }
        try await copied.bring()
        try await copied.execute(
            damage, "delete from blacklist.entry where value = '\(fixture.person("x"))'",
            """
            insert into blacklist.entry values (gen_random_uuid(), '\(BlacklistFixture.system)',
                '\(fixture.person("stranger"))', '-infinity', 'infinity', 1)
            """)
        #expect(try await copied.isBarred("stranger"))
        try await copied.bring()
        #expect(try await copied.isBarred("x"))
        #expect(try await copied.isBarred("y"))
        #expect(try await !copied.isBarred("stranger"))
    }

    @Test func `what was begun anew and not ended is ended by the next`() async throws {
        let copied = try await Copied()
        let fixture = copied.fixture
        let made = try await fixture.write(fixture.flag("x"))
        try await copied.bring()
        try await copied.beginAnew()
        // What was there bars until the copy is whole again.
        #expect(try await copied.isBarred("x"))
        try await fixture.write(fixture.flag("x", status: "inactive"), id: made.id)
        try await copied.bring()
        #expect(try await !copied.isBarred("x"))
    }

    @Test func `copying while many write misses nothing`() async throws {
        let copied = try await Copied()
        let fixture = copied.fixture
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    for number in 0..<15 { try await fixture.write(fixture.flag("w\(writer)-\(number)")) }
                }
            }
            group.addTask { for _ in 0..<20 { try await copied.bring() } }
            try await group.waitForAll()
        }
        try await copied.bring()
        for writer in 0..<4 {
            for number in 0..<15 { #expect(try await copied.isBarred("w\(writer)-\(number)")) }
        }
    }

    // MARK: Pumps

    private static func pump(_ region: TestRegion) -> RegionCopyPump {
        RegionCopyPump(
            copy: BlacklistCopy(region: region.regionDatabase()), region: region.regionDatabase(),
            control: region.controlDatabase(), databases: region.tenantDatabases(),
            holder: "test-\(UInt64.random(in: 0 ... .max))",
            metrics: OutboxMetrics(registry: MetricsRegistry(), worker: "0", consumer: "blacklist-copy"),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    @Test func `two pumps bring each change`() async throws {
        let copied = try await Copied(holds: false)
        let fixture = copied.fixture
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 { group.addTask { try await Self.pump(fixture.region).run() } }
            let made = try await fixture.write(fixture.flag("x"))
            #expect(try await Self.eventually { try await copied.isBarred("x") })
            try await fixture.write(fixture.flag("x", status: "inactive"), id: made.id)
            #expect(try await Self.eventually { try await !copied.isBarred("x") })
            group.cancelAll()
        }
    }

    private static func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
        let end = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < end {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return try await condition()
    }

    @Test func `a tenant is known to be at the head only of its own database, since this process began`() {
        let head = RegionPosition(number: 7, mark: "m")
        func standing(
            position: RegionPosition = head, source: String = "one", notedAt: Int64 = 10, isAsked: Bool = false
        ) -> RegionCopyStanding {
            RegionCopyStanding(
                head: head, at: 20,
                copies: [
                    .init(
                        tenant: "a", source: source, position: position, notedAt: notedAt, behind: 0, lag: .zero,
                        isAsked: isAsked)
                ])
        }
        #expect(standing().isAtHead("a", source: "one", since: 10))
        #expect(!standing().isAtHead("b", source: "one", since: 10))
        #expect(!standing().isAtHead("a", source: "two", since: 10))
        #expect(!standing().isAtHead("a", source: "one", since: 11))
        #expect(!standing(isAsked: true).isAtHead("a", source: "one", since: 10))
        #expect(!standing(position: .init(number: 6, mark: "m")).isAtHead("a", source: "one", since: 10))
        #expect(!standing(position: .init(number: 7, mark: "n")).isAtHead("a", source: "one", since: 10))
    }
}
