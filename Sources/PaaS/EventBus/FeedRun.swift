import CloudModel
import CloudTelemetry
import Logging
import NIOCore
import PostgresDriver
import Synchronization
import TenantRegistry

/// One lease's life: opens the tenant's database, hands out what is there, waits for more, and ends when there is nothing to
/// do for a while, when the lease is lost, or when something fails.
final class FeedRun: Sendable {
    struct Settings: Sendable {
        var batch = 500
        /// Between two looks that found something: lets changes gather.
        var pace: Duration = .milliseconds(40)
        /// Between two looks at a hole that may still be filled; doubled with each that finds nothing before it.
        var holePause: Duration = .milliseconds(5)
        var longestHolePause: Duration = .milliseconds(200)
        /// A feed with nothing to do gives its lease back after so long.
        var idle: Duration = .seconds(2)
        var statementTimeout: Duration = .seconds(20)
        /// Between two reports to the region.
        var reportInterval: Duration = .seconds(1)
        var retry = RetryPolicy()
    }

    enum End: Sendable, Equatable {
        case idle, lost, cancelled
        case failed(String)
    }

    private struct State {
        var wish: FeedWish?
        var validUntil: ContinuousClock.Instant
        var isLost = false
    }

    let lease: OutboxLease
    let signal = WakeSignal()
    private let consumer: any EventConsumer
    private let leases: OutboxLeases
    private let databases: TenantDatabases
    private let settings: Settings
    private let slots: WorkSlots
    private let metrics: OutboxMetrics
    private let willLook: @Sendable () -> Void
    private let logger: Logger
    private let state: Mutex<State>

    /// - Parameters:
    ///   - validUntil: the lease holds until then, unless ``renewed(until:)`` says otherwise.
    ///   - willLook: called before each look at the outbox: whatever woke the feed until then is seen by it.
    init(
        lease: OutboxLease, validUntil: ContinuousClock.Instant, consumer: any EventConsumer, leases: OutboxLeases,
        databases: TenantDatabases, settings: Settings, slots: WorkSlots, metrics: OutboxMetrics,
        willLook: @escaping @Sendable () -> Void, logger: Logger
    ) {
        self.lease = lease
        self.consumer = consumer
        self.leases = leases
        self.databases = databases
        self.settings = settings
        self.slots = slots
        self.metrics = metrics
        self.willLook = willLook
        self.logger = logger
        state = Mutex(State(wish: lease.wish, validUntil: validUntil))
    }

    // MARK: From outside

    func renewed(until instant: ContinuousClock.Instant) {
        state.withLock { $0.validUntil = instant }
    }

    func lost() {
        state.withLock { $0.isLost = true }
        signal.raise()
    }

    func asked(for wish: FeedWish) {
        state.withLock { $0.wish = wish }
        signal.raise()
    }

    private var isHeld: Bool {
        state.withLock { !$0.isLost && $0.validUntil > .now }
    }

    // MARK: The run

    /// What the run knows; in the hands of one task.
    private struct Progress {
        var gaps: SequenceGaps
        var rebuildUntil: Int64?
        var standing = FeedStanding()
        var reported: FeedStanding?
        var reportedAt: ContinuousClock.Instant?
        var nextDue: Duration?
    }

    /// What a step found.
    private enum Step {
        /// There is more at once.
        case more
        /// There was something; more may have gathered in a moment.
        case some
        /// A hole may be filled any moment.
        case hole
        case nothing
    }

    /// - Returns: why it ended, and the highest token that the tenant's database knew.
    func run() async -> (End, tokenSeen: Int64) {
        let gauges = metrics.gauges(lease.tenant)
        defer { gauges.lag.set(0) }
        do {
            let access = TenantAccess(minting: lease.tenant, origin: .lease)
            let feed = OutboxFeed(
                tenant: lease.tenant, database: try await databases.open(access), token: lease.token)
            let outbox = TenantOutbox(
                pool: feed.database.pool, consumer: consumer.name, token: lease.token, source: feed.source,
                timeout: .nanoseconds(settings.statementTimeout.nanosecondsClamped))
            let start = try await begin(outbox)
            try await consumer.begin(feed)
            var progress = Progress(
                gaps: SequenceGaps(position: start.position), rebuildUntil: start.rebuildUntil)
            return (try await work(feed, outbox, &progress, gauges), lease.token)
        } catch {
            if Task.isCancelled { return (.cancelled, lease.token) }
            switch DeliveryFailure(error) {
            case .leaseLost(let token): return (.lost, token ?? lease.token)
            case .unavailable(let reason), .refused(let reason):
                // For `medcloud feed list`; the log has it too.
                try? await leases.fail(reason, lease)
                return (.failed(reason), lease.token)
            }
        }
    }

    /// Begins where the former lease ended, or where the region's database has heard of everything: that may be older than the
    /// tenant's, after a restore or by what was done since the last report.
    private func begin(_ outbox: TenantOutbox) async throws -> TenantOutbox.Start {
        let start = try await outbox.take()
        guard start.position > lease.position else { return start }
        try await outbox.goBack(to: lease.heard)
        return TenantOutbox.Start(position: lease.heard.position, rebuildUntil: start.rebuildUntil)
    }

    private func work(
        _ feed: OutboxFeed, _ outbox: TenantOutbox, _ progress: inout Progress, _ gauges: (lag: Gauge, parked: Gauge)
    ) async throws -> End {
        var idleSince = ContinuousClock.now
        var holePause = settings.holePause
        while true {
            if Task.isCancelled { return .cancelled }
            guard isHeld else { return .lost }
            willLook()
            try await grantWish(feed, outbox, &progress)
            let position = progress.gaps.position
            let step = try await slots.withSlot { try await self.step(feed, outbox, &progress, gauges) }
            try await finishRebuild(feed, outbox, &progress)
            try await report(outbox, &progress)
            switch step {
            case .more:
                idleSince = .now
            case .some:
                idleSince = .now
                try? await Task.sleep(for: settings.pace)
            case .hole:
                idleSince = .now
                try? await Task.sleep(for: holePause)
            case .nothing:
                if let due = progress.nextDue {
                    idleSince = .now
                    await signal.wait(atMost: max(settings.pace, min(due, settings.idle)))
                } else {
                    let left = settings.idle - (ContinuousClock.now - idleSince)
                    guard left > .zero else { return .idle }
                    await signal.wait(atMost: left)
                }
            }
            let isStuck = step == .hole && progress.gaps.position == position
            holePause = isStuck ? min(holePause * 2, settings.longestHolePause) : settings.holePause
        }
    }

    private func step(
        _ feed: OutboxFeed, _ outbox: TenantOutbox, _ progress: inout Progress, _ gauges: (lag: Gauge, parked: Gauge)
    ) async throws -> Step {
        let began = ContinuousClock.now
        let look = try await outbox.look(
            after: progress.gaps.position, limit: settings.batch, whoRuns: progress.gaps.isWaiting)
        let verdict = progress.gaps.look(
            at: look.changes.map(\.event.sequence), oldestRunning: look.oldestRunning)
        gauges.lag.set(look.ages.first?.milliseconds ?? 0)
        if verdict.needsBarrier, let last = look.changes.last {
            progress.gaps.setBarrier(try await outbox.newTransactionID(), below: last.event.sequence)
        }
        let ready = Array(look.changes.prefix(verdict.ready))
        guard !ready.isEmpty || !look.due.isEmpty else { return look.changes.isEmpty ? .nothing : .hole }

        var record = DeliveryRecord()
        // Waiting changes are never fresh ones' neighbours: a resource with a waiting change blocks its fresh ones.
        try await deliver(look.due, waited: true, feed, &record)
        let free = record.holdBack(ready)
        try await deliver(free, waited: false, feed, &record)
        let position = ready.last?.event.sequence ?? progress.gaps.position
        let waiting = try await outbox.advance(to: position, record)
        progress.gaps.advance(to: position)
        progress.nextDue = waiting.nextDue
        if progress.standing.parked != waiting.parked || !record.deferred.isEmpty {
            progress.standing.parkedChanges = waiting.parked == 0 ? "[]" : try await outbox.parkedChanges()
        }
        progress.standing.position = position
        progress.standing.deferred = waiting.deferred
        progress.standing.parked = waiting.parked
        gauges.parked.set(waiting.parked)
        if ready.count == look.changes.count { gauges.lag.set(0) }
        let took = ContinuousClock.now - began
        for age in look.ages.prefix(ready.count) { metrics.delay.observe(nanoseconds: (age + took).nanosecondsClamped) }
        metrics.delivered.increment(by: UInt64(record.delivered))
        metrics.refused.increment(by: UInt64(record.refused))
        if ready.count == settings.batch || look.due.count == settings.batch { return .more }
        return ready.count < look.changes.count ? .hole : .some
    }

    /// Hands out changes; those of resources that the consumer refuses are put aside one resource at a time.
    private func deliver(
        _ changes: [OutboxChange], waited: Bool, _ feed: OutboxFeed, _ record: inout DeliveryRecord
    ) async throws {
        guard !changes.isEmpty else { return }
        do {
            try await consumer.handle(changes.map(\.event), from: feed)
            record.succeeded(changes, waited: waited)
            return
        } catch {
            guard case .refused = DeliveryFailure(error) else { throw error }
        }
        for group in DeliveryRecord.byAggregate(changes) {
            guard isHeld else { throw PostgresError(.server, "the lease was lost", sqlState: "MC423") }
            try await deliver(group: group, waited: waited, feed, &record)
        }
    }

    /// One resource's changes, one after the other: what comes before the refused one counts.
    private func deliver(
        group: [OutboxChange], waited: Bool, _ feed: OutboxFeed, _ record: inout DeliveryRecord
    ) async throws {
        for (index, change) in group.enumerated() {
            do {
                try await consumer.handle([change.event], from: feed)
                record.succeeded([change], waited: waited)
            } catch {
                guard case .refused(let reason) = DeliveryFailure(error) else { throw error }
                logger.warning(
                    "an event was refused",
                    metadata: [
                        "tenant.id": "\(feed.tenant)", "event.id": "\(change.event.id)",
                        "consumer": "\(consumer.name)", "reason": "\(reason)",
                    ])
                record.failed(Array(group[index...]), reason: reason, policy: settings.retry)
                return
            }
        }
    }

    // MARK: What an operator asks for

    private func grantWish(_ feed: OutboxFeed, _ outbox: TenantOutbox, _ progress: inout Progress) async throws {
        guard let wish = state.withLock({ $0.wish }) else { return }
        switch wish {
        case .retry:
            try await outbox.retry()
        case .rebuild:
            try await consumer.beginRebuild(feed)
            try await outbox.rewind()
            let start = try await outbox.take()
            progress.gaps = SequenceGaps(position: start.position)
            progress.rebuildUntil = start.rebuildUntil
        }
        try await leases.grantWish(wish, lease)
        // An operator may have asked for more meanwhile.
        state.withLock { if $0.wish == wish { $0.wish = nil } }
    }

    private func finishRebuild(_ feed: OutboxFeed, _ outbox: TenantOutbox, _ progress: inout Progress) async throws {
        guard let end = progress.rebuildUntil, progress.gaps.position >= end else { return }
        try await consumer.endRebuild(feed)
        try await outbox.endRebuild()
        progress.rebuildUntil = nil
        logger.info("a feed was rebuilt", metadata: ["tenant.id": "\(feed.tenant)", "consumer": "\(consumer.name)"])
    }

    private func report(_ outbox: TenantOutbox, _ progress: inout Progress) async throws {
        progress.standing.position = progress.gaps.position
        let isDue = progress.reportedAt.map { ContinuousClock.now - $0 >= settings.reportInterval } ?? true
        guard isDue, progress.reported != progress.standing else { return }
        if progress.reported == nil {
            // What was put aside before this lease.
            let waiting = try await outbox.advance(to: progress.gaps.position, DeliveryRecord())
            progress.standing.deferred = waiting.deferred
            progress.standing.parked = waiting.parked
            progress.standing.parkedChanges = waiting.parked == 0 ? "[]" : try await outbox.parkedChanges()
            progress.nextDue = waiting.nextDue
        }
        var told = progress.standing
        let waiting = told.deferred == 0 ? [] : try await outbox.waiting(limit: HeardChanges.maximumWaiting + 1)
        told.heard = HeardChanges(upTo: told.position, waiting: waiting)
        try await leases.report(told, lease)
        progress.reported = progress.standing
        progress.reportedAt = .now
    }
}
