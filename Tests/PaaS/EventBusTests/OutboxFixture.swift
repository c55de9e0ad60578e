import ClinicalData
import CloudModel
import CloudTelemetry
import Logging
import NIOCore
import PostgresDriver
import Synchronization
import TenantRegistry
import TestSupport
import Testing

@testable import EventBus

/// Keeps what it was given, and refuses or waits as a test asks it to.
final class RecordingConsumer: EventConsumer {
    private struct State {
        var events: [OutboxEvent] = []
        var refused: Set<String> = []
        var outages = 0
        var handling = 0
        var overlaps = 0
        var rebuilds: [String] = []
        var isForgetting = false
    }
    let name: String
    private let tenant: TenantID
    private let state = Mutex(State())
    private let delay: Duration

    init(name: String, tenant: TenantID, delay: Duration = .zero) {
        self.name = name
        self.tenant = tenant
        self.delay = delay
    }

    /// Events of this resource are refused.
    func refuse(_ id: String, _ isRefused: Bool = true) {
        state.withLock { state in
            if isRefused { state.refused.insert(id) } else { state.refused.remove(id) }
        }
    }

    /// The next calls fail as if a database were away.
    func failNext(_ count: Int) {
        state.withLock { $0.outages = count }
    }

    /// From now on the consumer has tenants to forget, and never comes to the end of it.
    func forgetForEver() {
        state.withLock { $0.isForgetting = true }
    }

    var events: [OutboxEvent] { state.withLock { $0.events } }
    /// Times at which two feeds of the tenant handled at once.
    var overlaps: Int { state.withLock { $0.overlaps } }
    var rebuilds: [String] { state.withLock { $0.rebuilds } }

    func begin(_ feed: OutboxFeed) async throws {}
    func beginRebuild(_ feed: OutboxFeed) async throws {
        if feed.tenant == tenant { state.withLock { $0.rebuilds.append("begin") } }
    }
    func endRebuild(_ feed: OutboxFeed) async throws {
        if feed.tenant == tenant { state.withLock { $0.rebuilds.append("end") } }
    }
    func tidy(_ tenants: @Sendable () async throws -> [TenantRecord]) async throws {
        if state.withLock({ $0.isForgetting }) { try await Task.sleep(for: .seconds(3600)) }
    }

    func handle(_ events: [OutboxEvent], from feed: OutboxFeed) async throws {
        guard feed.tenant == tenant else { return }
        state.withLock { state in
            state.handling += 1
            if state.handling > 1 { state.overlaps += 1 }
        }
        defer { state.withLock { $0.handling -= 1 } }
        if delay > .zero { try await Task.sleep(for: delay) }
        try state.withLock { state in
            if state.outages > 0 {
                state.outages -= 1
                throw PostgresError(.connection, "away")
            }
            if events.contains(where: { state.refused.contains($0.resourceID) }) {
                throw EventRefusal("this resource is refused")
            }
            state.events += events
        }
    }
}

/// A tenant with its outbox and pumps, all gone at the end.
struct OutboxFixture: Sendable {
    let region: TestRegion
    let tenant: TenantID
    let database: TenantDatabase
    let consumer: String

    init() async throws {
        region = try await TestRegion.shared
        tenant = try await region.makeTenant()
        database = try await region.tenantDatabases().open(TenantAccess(minting: tenant, origin: .token))
        consumer = "test-\(tenant)"
    }

    static var settings: OutboxPump.Settings {
        var settings = OutboxPump.Settings()
        settings.pace = .milliseconds(5)
        settings.retry.firstPause = .milliseconds(20)
        settings.retry.longestPause = .milliseconds(50)
        settings.retry.attempts = 4
        return settings
    }

    func pump(_ consumer: any EventConsumer, settings: OutboxPump.Settings = OutboxFixture.settings) -> OutboxPump {
        OutboxPump(
            consumer: consumer, region: region.regionDatabase(), control: region.controlDatabase(),
            databases: region.tenantDatabases(), holder: "test-\(UInt64.random(in: 0 ... .max))", settings: settings,
            metrics: OutboxMetrics(registry: MetricsRegistry(), worker: "0", consumer: consumer.name),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    /// Runs pumps while `body` runs.
    func running<R: Sendable>(_ pumps: [OutboxPump], _ body: () async throws -> R) async throws -> R {
        let tasks = pumps.map { pump in Task { try await pump.run() } }
        do {
            let result = try await body()
            for task in tasks { task.cancel() }
            for task in tasks { try? await task.value }
            return result
        } catch {
            for task in tasks { task.cancel() }
            throw error
        }
    }

    func leases(holder: String, duration: Duration = .seconds(3)) -> OutboxLeases {
        OutboxLeases(region: region.regionDatabase(), consumer: consumer, holder: holder, duration: duration)
    }

    func outbox(token: Int64) -> TenantOutbox {
        TenantOutbox(
            pool: database.pool, consumer: consumer, token: token, source: database.tenant.database,
            timeout: .seconds(20))
    }

    // MARK: Writing

    private static let audit = AuditContext(
        client: "client-1", practitioner: nil, purpose: nil, requestID: "request-1", source: "192.0.2.7",
        origin: "token")

    static func operation(_ id: String) throws -> WriteOperation {
        guard let type = ResourceType.named("Basic") else { throw EventRefusal("no type Basic") }
        return WriteOperation(
            .update, type, id: id, expectedVersion: nil,
            content: ByteBuffer(string: "{\"resourceType\":\"Basic\",\"id\":\"\(id)\"}"), index: IndexRows())
    }

    func write(_ ids: String...) async throws {
        _ = try await ClinicalStore().write(
            try ids.map(Self.operation), audit: Self.audit, on: PooledStatements(database.pool, deadline: nil))
    }

    /// Writes in a transaction that stays open for a while and then commits or not.
    func write(_ ids: [String], openFor pause: Duration, commits: Bool) async throws {
        struct Abandoned: Error {}
        do {
            try await database.pool.withTransaction { connection in
                _ = try await ClinicalStore().write(
                    try ids.map(Self.operation), audit: Self.audit, on: connection)
                try await Task.sleep(for: pause)
                if !commits { throw Abandoned() }
            }
        } catch is Abandoned {}
    }

    private static let changes = PostgresStatement("select seq, id, version from fhir.change order by seq")

    /// What was committed, by number.
    func committed() async throws -> [Int64] {
        try await database.pool.query(Self.changes).map { try $0.int8(0) }
    }

    /// Waits until `condition` holds, and records an issue when it does not.
    func expect(
        sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
    ) async throws {
        let holds = try await eventually(condition)
        #expect(holds, sourceLocation: sourceLocation)
    }

    /// Waits until `condition` holds.
    func eventually(
        within limit: Duration = .seconds(20), _ condition: () async throws -> Bool
    ) async throws -> Bool {
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return try await condition()
    }
}
