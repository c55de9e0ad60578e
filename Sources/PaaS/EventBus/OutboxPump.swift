package import CloudModel
import CloudTelemetry
package import Logging
import PostgresDriver
import ServiceLifecycle
import Synchronization
package import TenantRegistry

/// Hands what is written in the tenants' databases to one consumer: in order within a resource, at least once, each tenant
/// by one process at a time.
///
/// A tenant is looked at when this process wrote there, when another process says that it did (a notification in the region
/// database), when its lease has expired in a dead process's hands, and once a minute. Tenants with nothing to do have no
/// lease and no connection.
package final class OutboxPump: Service {
    package struct Settings: Sendable {
        /// A lease lasts so long unless it is renewed; a holder that dies is replaced this and ``renewInterval`` later.
        package var lease: Duration = .seconds(3)
        package var renewInterval: Duration = .seconds(1)
        /// Each tenant is looked at so often though nobody said anything.
        package var sweep: Duration = .seconds(60)
        /// How often the list of tenants is read.
        package var listInterval: Duration = .seconds(5)
        /// Feeds that work at the same time, each with one connection.
        package var parallelFeeds = 4
        /// Changes read at once.
        package var batch = 500
        /// Between two batches of a tenant, so that changes gather.
        package var pace: Duration = .milliseconds(40)
        /// A feed with nothing to do gives its lease back after so long.
        package var idle: Duration = .seconds(2)
        package var retry = RetryPolicy()

        package init() {}
    }

    private struct State {
        var board: FeedBoard
        var runs: [TenantID: FeedRun] = [:]
        /// Tenants whose holders are to be told.
        var toTell: Set<TenantID> = []
    }

    private let consumer: any EventConsumer
    private let leases: OutboxLeases
    private let control: ControlDatabase
    private let databases: TenantDatabases
    private let settings: Settings
    private let metrics: OutboxMetrics
    private let logger: Logger
    private let slots: WorkSlots
    private let state: Mutex<State>
    private let tell = WakeSignal()
    private let claims: AsyncStream<TenantID>
    private let claim: AsyncStream<TenantID>.Continuation

    /// Does no I/O.
    ///
    /// - Parameter holder: names this process in the leases; in no other's use ever.
    package init(
        consumer: any EventConsumer, region: RegionDatabase, control: ControlDatabase, databases: TenantDatabases,
        holder: String, settings: Settings = Settings(), metrics: OutboxMetrics, logger: Logger
    ) {
        self.consumer = consumer
        leases = OutboxLeases(
            region: region, consumer: consumer.name, holder: holder, duration: settings.lease)
        self.control = control
        self.databases = databases
        self.settings = settings
        self.metrics = metrics
        self.logger = logger
        slots = WorkSlots(count: settings.parallelFeeds)
        var pauses = RetryPolicy()
        pauses.firstPause = .milliseconds(250)
        pauses.longestPause = .seconds(30)
        state = Mutex(State(board: FeedBoard(sweep: settings.sweep, pauses: pauses)))
        // Each tenant is in it at most once: the board gives the next claim after the end of the former.
        (claims, claim) = AsyncStream.makeStream(of: TenantID.self)
    }

    /// Something was committed in the tenant's database by this process. Cheap; call it after the commit.
    package func committed(_ tenant: TenantID) {
        act { $0.committed(tenant, now: .now) }
    }

    /// Works until cancelled or shut down; then gives its leases back.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.listTenants() }
                group.addTask { await self.tidy() }
                group.addTask { await self.renewLeases() }
                group.addTask { await self.listen() }
                group.addTask { await self.tellHolders() }
                for await tenant in self.claims {
                    group.addTask { await self.serve(tenant) }
                }
                group.cancelAll()
            }
        }
    }

    private func act(_ decide: (inout FeedBoard) -> FeedBoard.Action?) {
        let action = state.withLock { decide(&$0.board) }
        if let action { perform(action) }
    }

    private func perform(_ action: FeedBoard.Action) {
        switch action {
        case .claim(let tenant):
            claim.yield(tenant)
        case .wake(let tenant):
            state.withLock { $0.runs[tenant] }?.signal.raise()
        case .tell(let tenant):
            state.withLock { _ = $0.toTell.insert(tenant) }
            tell.raise()
        }
    }

    // MARK: One tenant

    private func serve(_ tenant: TenantID) async {
        let asked = ContinuousClock.now
        do {
            switch try await slots.withSlot({ try await leases.claim(tenant) }) {
            case .elsewhere(let remaining):
                act { $0.lost(tenant, until: asked + remaining, now: .now) }
            case .mine(let lease):
                await hold(lease, validUntil: asked + settings.lease)
            }
        } catch {
            if !Task.isCancelled {
                logger.warning(
                    "an outbox lease cannot be asked for",
                    metadata: ["tenant.id": "\(tenant)", "error": "\(DeliveryFailure(error))"])
            }
            act { $0.ended(tenant, failed: true, now: .now) }
        }
    }

    private func hold(_ lease: OutboxLease, validUntil: ContinuousClock.Instant) async {
        let tenant = lease.tenant
        var feedSettings = FeedRun.Settings()
        feedSettings.batch = settings.batch
        feedSettings.pace = settings.pace
        feedSettings.idle = settings.idle
        feedSettings.retry = settings.retry
        let run = FeedRun(
            lease: lease, validUntil: validUntil, consumer: consumer, leases: leases, databases: databases,
            settings: feedSettings, slots: slots, metrics: metrics,
            willLook: { [self] in state.withLock { $0.board.looks(tenant) } }, logger: logger)
        state.withLock { state in
            state.board.won(tenant, now: .now)
            state.runs[tenant] = run
        }
        metrics.leases.add(1)
        let (end, tokenSeen) = await run.run()
        metrics.leases.add(-1)
        state.withLock { _ = $0.runs.removeValue(forKey: tenant) }
        if case .failed(let reason) = end {
            logger.warning("an outbox feed failed", metadata: ["tenant.id": "\(tenant)", "reason": "\(reason)"])
        }
        // Not part of this task, which may be cancelled: who waits for the lease should not wait for its end. When it fails,
        // they do.
        let leases = leases
        await Task { try? await leases.release(lease, tokenSeen: tokenSeen) }.value
        let failed = if case .failed = end { true } else { false }
        act { $0.ended(tenant, failed: failed, now: .now) }
    }

    // MARK: Background

    /// Knows the tenants, and looks at those whose time has come.
    private func listTenants() async {
        var listedAt: ContinuousClock.Instant?
        while !Task.isCancelled {
            if listedAt.map({ ContinuousClock.now - $0 >= settings.listInterval }) ?? true {
                await list()
                listedAt = .now
            }
            let due = state.withLock { $0.board.due(now: .now) }
            for action in due { perform(action) }
            try? await Task.sleep(for: .milliseconds(250))
        }
        claim.finish()
    }

    private func list() async {
        do {
            let tenants = try await control.tenants()
            let ready = tenants.filter { $0.state == .ready }.compactMap { TenantID($0.id) }
            state.withLock { $0.board.list(Set(ready), now: .now) }
            try await leases.retain(tenants.map(\.id))
        } catch {
            if Task.isCancelled { return }
            logger.warning("the outbox cannot list the tenants", metadata: ["error": "\(DeliveryFailure(error))"])
        }
    }

    /// Lets the consumer forget what belongs to tenants that are gone. Beside the list, because a large one takes its time.
    private func tidy() async {
        while !Task.isCancelled {
            do {
                try await consumer.tidy { [control] in try await control.tenants() }
            } catch {
                if Task.isCancelled { return }
                logger.warning(
                    "a consumer cannot forget tenants that are gone",
                    metadata: ["consumer": "\(consumer.name)", "error": "\(DeliveryFailure(error))"])
            }
            try? await Task.sleep(for: settings.listInterval)
        }
    }

    private func renewLeases() async {
        var isWell = true
        while !Task.isCancelled {
            let asked = ContinuousClock.now
            let runs = state.withLock { $0.runs }
            do {
                let news = try await leases.renew(runs.values.map(\.lease))
                var lost: Set<TenantID> = []
                for (tenant, item) in news {
                    switch item {
                    case .lost:
                        lost.insert(tenant)
                        runs[tenant]?.lost()
                    case .wish(let wish): runs[tenant]?.asked(for: wish)
                    case .expired: act { $0.abandoned(tenant, now: .now) }
                    }
                }
                for (tenant, run) in runs where !lost.contains(tenant) { run.renewed(until: asked + settings.lease) }
                isWell = true
            } catch {
                // Said once: at the start of a region its databases are not there yet.
                if isWell, !Task.isCancelled {
                    isWell = false
                    logger.warning(
                        "outbox leases cannot be renewed", metadata: ["error": "\(DeliveryFailure(error))"])
                }
            }
            try? await Task.sleep(for: settings.renewInterval)
        }
    }

    private func listen() async {
        for await event in leases.region.pool.listen("outbox") {
            switch event {
            case .listening:
                // What was said before this moment was said to nobody.
                state.withLock { $0.board.doubt(now: .now) }
            case .notification(let notification):
                guard let tenant = TenantID(notification.payload) else { continue }
                act { $0.notified(tenant, now: .now) }
            }
        }
    }

    private func tellHolders() async {
        while !Task.isCancelled {
            await tell.wait(atMost: .seconds(60))
            // The writes of a moment are told at once.
            try? await Task.sleep(for: .milliseconds(10))
            let tenants = state.withLock { state in
                defer { state.toTell = [] }
                return state.toTell
            }
            guard !tenants.isEmpty, !Task.isCancelled else { continue }
            do {
                for tenant in try await leases.wake(Array(tenants)) {
                    act { $0.abandoned(tenant, now: .now) }
                }
            } catch {
                state.withLock { $0.toTell.formUnion(tenants) }
                try? await Task.sleep(for: .milliseconds(500))
                tell.raise()
            }
        }
    }
}
