import CloudModel
import CloudTelemetry
import Logging
import PostgresDriver
import Synchronization
import TenantRegistry
import TestSupport
import Testing

@testable import EventBus

/// A copy of one tenant that takes its time; every other tenant has its own.
private final class SlowCopy: RegionCopy {
    private struct State {
        var token: Int64 = 0
        var begun = 0
        var failures = 0
        var isBrought = false
    }
    let name: String
    let channel = "slow-copy"
    private let tenant: TenantID
    private let control: ControlDatabase
    private let duration: Duration
    private let state: Mutex<State>

    init(_ fixture: OutboxFixture, takes duration: Duration = .zero, failures: Int = 0) {
        name = fixture.consumer
        tenant = fixture.tenant
        control = fixture.region.controlDatabase()
        self.duration = duration
        state = Mutex(State(failures: failures))
    }

    var begun: Int { state.withLock { $0.begun } }
    var isBrought: Bool { state.withLock { $0.isBrought } }

    func standing() async throws -> RegionCopyStanding {
        let head = RegionPosition(number: 1, mark: nil)
        let isBrought = isBrought
        let copies = try await control.tenants().filter { $0.id != tenant.rawValue || isBrought }.map { record in
            RegionCopyStanding.Copy(
                tenant: record.id, source: record.database, position: head, notedAt: 0, behind: 0, lag: .zero,
                isAsked: false)
        }
        return RegionCopyStanding(head: head, at: 0, copies: copies)
    }

    func beginAnew(_ feed: OutboxFeed) async throws {
        try take(feed.token)
        state.withLock { $0.begun += 1 }
    }

    func bring(_ feed: OutboxFeed) async throws -> BroughtCopy {
        try take(feed.token)
        try await Task.sleep(for: duration)
        try take(feed.token)
        try state.withLock { state in
            if state.failures > 0 {
                state.failures -= 1
                throw PostgresError(.connection, "away")
            }
            state.isBrought = true
        }
        return BroughtCopy(position: RegionPosition(number: 1, mark: nil), ages: [])
    }

    /// The fence, as a tenant's database has it.
    private func take(_ token: Int64) throws {
        try state.withLock { state in
            guard token >= state.token else {
                throw PostgresError(.server, "the lease was lost", sqlState: "MC423", detail: "\(state.token)")
            }
            state.token = token
        }
    }
}

@Suite struct RegionCopyPumpTests {
    private static func pump(_ copy: SlowCopy, _ fixture: OutboxFixture, lease: Duration = .seconds(3))
        -> RegionCopyPump
    {
        var settings = RegionCopyPump.Settings()
        settings.lease = lease
        return RegionCopyPump(
            copy: copy, region: fixture.region.regionDatabase(), control: fixture.region.controlDatabase(),
            databases: fixture.region.tenantDatabases(), holder: "test-\(UInt64.random(in: 0 ... .max))",
            settings: settings,
            metrics: OutboxMetrics(registry: MetricsRegistry(), worker: "0", consumer: copy.name),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    private static func running(_ pumps: [RegionCopyPump], _ body: () async throws -> Void) async throws {
        let tasks = pumps.map { pump in Task { try await pump.run() } }
        defer { for task in tasks { task.cancel() } }
        try await body()
    }

    @Test func `a copy that takes longer than a lease is brought, though another pump waits for it`() async throws {
        let fixture = try await OutboxFixture()
        let copy = SlowCopy(fixture, takes: .seconds(3))
        let pumps = (0..<2).map { _ in Self.pump(copy, fixture, lease: .seconds(1)) }
        try await Self.running(pumps) { try await fixture.expect { copy.isBrought } }
    }

    @Test func `a rebuild is begun once, and what fails behind it goes on from there`() async throws {
        let fixture = try await OutboxFixture()
        let copy = SlowCopy(fixture, failures: 2)
        let leases = fixture.leases(holder: "before")
        guard case .mine(let lease) = try await leases.claim(fixture.tenant) else {
            Issue.record("the lease was not free")
            return
        }
        try await OutboxFeeds(region: fixture.region.regionDatabase()).ask(.rebuild, of: fixture.tenant.rawValue)
        try await leases.release(lease, tokenSeen: lease.token)
        try await Self.running([Self.pump(copy, fixture)]) {
            try await fixture.expect { copy.isBrought }
            #expect(copy.begun == 1)
        }
    }
}
