import CloudModel
import CloudTelemetry
package import Logging
import PostgresDriver
import ServiceLifecycle
import Synchronization
package import TenantRegistry

/// Keeps every ready tenant's copy of something at the region's last change.
///
/// It looks when the region database notifies, when a tenant may be new, and now and then. A tenant whose copy is known to be
/// at the head is left alone: no lease, no connection.
package final class RegionCopyPump: Service {
    package struct Settings: Sendable {
        /// A holder that dies is replaced so much later.
        package var lease: Duration = .seconds(3)
        /// Between two looks though nobody said anything, when there is something to copy: a new tenant gets its copy then.
        package var interval: Duration = .seconds(1)
        /// The same when there is nothing.
        package var idleInterval: Duration = .seconds(5)
        /// Between two looks while another process brings a copy.
        package var waiting: Duration = .milliseconds(250)
        /// Copies that are brought at the same time, each with one connection.
        package var parallelCopies = 4

        package init() {}
    }

    private struct State {
        /// In the region's time: what was noted before is looked at again.
        var since: Int64?
        var working: Set<TenantID> = []
        /// Not before.
        var pauses: [TenantID: ContinuousClock.Instant] = [:]
        var failures: [TenantID: Int32] = [:]
        /// Tenants whose lag is shown.
        var lagging: Set<TenantID> = []
    }

    private let copy: any RegionCopy
    private let leases: OutboxLeases
    private let control: ControlDatabase
    private let databases: TenantDatabases
    private let settings: Settings
    private let metrics: OutboxMetrics
    private let logger: Logger
    private let slots: WorkSlots
    private let signal = WakeSignal()
    private let retry: RetryPolicy
    private let state = Mutex(State())

    /// Does no I/O.
    ///
    /// - Parameter holder: names this process in the leases; in no other's use ever.
    package init(
        copy: any RegionCopy, region: RegionDatabase, control: ControlDatabase, databases: TenantDatabases,
        holder: String, settings: Settings = Settings(), metrics: OutboxMetrics, logger: Logger
    ) {
        self.copy = copy
        leases = OutboxLeases(region: region, consumer: copy.name, holder: holder, duration: settings.lease)
        self.control = control
        self.databases = databases
        self.settings = settings
        self.metrics = metrics
        self.logger = logger
        slots = WorkSlots(count: settings.parallelCopies)
        var retry = RetryPolicy()
        retry.firstPause = .milliseconds(250)
        retry.longestPause = .seconds(30)
        self.retry = retry
    }

    /// Works until cancelled or shut down.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.listen() }
                while !Task.isCancelled {
                    let (works, pause) = await self.look()
                    for work in works {
                        group.addTask { await self.serve(work) }
                    }
                    await self.signal.wait(atMost: pause)
                    // The changes of a moment are brought together.
                    try? await Task.sleep(for: .milliseconds(20))
                }
                group.cancelAll()
            }
        }
    }

    private func listen() async {
        for await _ in leases.region.pool.listen(copy.channel) { signal.raise() }
    }

    /// A tenant whose copy is to be brought to the head, and what is known of it.
    private struct Work: Sendable {
        let tenant: TenantID
        /// The database as the tenants' list has it.
        let source: String
        var position: Int64 = 0
        let behind: Int64
    }

    // MARK: Looking

    /// The tenants to be served now, and when to look again.
    private func look() async -> ([Work], Duration) {
        do {
            let standing = try await copy.standing()
            let tenants = try await control.tenants().filter { $0.state == .ready }
            return state.withLock { decide(&$0, standing, tenants) }
        } catch {
            if !Task.isCancelled {
                logger.warning(
                    "the copies cannot be looked at",
                    metadata: ["copy": "\(copy.name)", "error": "\(DeliveryFailure(error))"])
            }
            return ([], settings.interval)
        }
    }

    private func decide(
        _ state: inout State, _ standing: RegionCopyStanding, _ tenants: [TenantRecord]
    ) -> ([Work], Duration) {
        let since = state.since ?? standing.at
        state.since = since
        var found: [Work] = []
        var pause = standing.head.number > 0 ? settings.interval : settings.idleInterval
        var lagging: Set<TenantID> = []
        for record in tenants {
            guard let tenant = TenantID(record.id) else { continue }
            guard !standing.isAtHead(record.id, source: record.database, since: since) else {
                state.failures[tenant] = nil
                continue
            }
            lagging.insert(tenant)
            let known = standing.copies[record.id]
            metrics.gauges(tenant).lag.set(known?.lag.milliseconds ?? 0)
            guard !state.working.contains(tenant) else { continue }
            if let until = state.pauses[tenant], until > .now {
                pause = min(pause, max(.milliseconds(20), until - .now))
                continue
            }
            state.working.insert(tenant)
            found.append(
                Work(
                    tenant: tenant, source: record.database, position: known?.position.number ?? 0,
                    behind: known?.behind ?? standing.head.number))
        }
        for tenant in state.lagging.subtracting(lagging) { metrics.gauges(tenant).lag.set(0) }
        state.lagging = lagging
        return (found, pause)
    }

    // MARK: One tenant

    private func serve(_ work: Work) async {
        let pause = await slots.withSlot { await self.bring(work) }
        state.withLock { state in
            state.working.remove(work.tenant)
            state.pauses[work.tenant] = pause.map { .now + $0 }
        }
        signal.raise()
    }

    /// - Returns: how long to leave the tenant alone.
    private func bring(_ work: Work) async -> Duration? {
        do {
            switch try await leases.claim(work.tenant) {
            case .elsewhere(let remaining): return min(remaining, settings.waiting)
            case .mine(let lease): return await hold(lease, work)
            }
        } catch {
            return failed(work.tenant, error)
        }
    }

    private func hold(_ lease: OutboxLease, _ work: Work) async -> Duration? {
        var tokenSeen = lease.token
        var standing = FeedStanding()
        standing.position = work.position
        standing.deferred = work.behind
        var pause: Duration?
        do {
            let access = TenantAccess(minting: lease.tenant, origin: .lease)
            let feed = OutboxFeed(
                tenant: lease.tenant, database: try await databases.open(access), token: lease.token)
            if feed.source == work.source {
                // Ends with this block.
                async let _: Void = keep(lease)
                if let wish = lease.wish {
                    if wish == .rebuild { try await copy.beginAnew(feed) }
                    try await leases.grantWish(wish, lease)
                }
                let brought = try await copy.bring(feed)
                standing.position = brought.position.number
                standing.deferred = 0
                metrics.delivered.increment(by: UInt64(brought.ages.count))
                for age in brought.ages { metrics.delay.observe(nanoseconds: age.nanosecondsClamped) }
            } else {
                // The tenant was made again, and this process has its former database open for a moment.
                pause = settings.waiting
            }
        } catch {
            if case .leaseLost(let token) = DeliveryFailure(error) {
                tokenSeen = max(tokenSeen, token ?? 0)
                pause = settings.waiting
            } else {
                pause = failed(lease.tenant, error)
                standing.failure = Task.isCancelled ? nil : Self.reason(error)
            }
        }
        // Not part of this task, which may be cancelled: who waits for the lease should not wait for its end.
        await Task { [leases, standing, tokenSeen] in
            try? await leases.report(standing, lease)
            try? await leases.release(lease, tokenSeen: tokenSeen)
        }.value
        return pause
    }

    /// Keeps the lease until cancelled. When it is lost all the same, the tenant's database says so.
    private func keep(_ lease: OutboxLease) async {
        while true {
            do { try await Task.sleep(for: settings.lease / 3) } catch { return }
            _ = try? await leases.renew([lease])
        }
    }

    private func failed(_ tenant: TenantID, _ error: any Error) -> Duration {
        let failures = state.withLock { state in
            state.failures[tenant, default: 0] += 1
            return state.failures[tenant] ?? 1
        }
        if failures == 1, !Task.isCancelled {
            metrics.refused.increment()
            logger.warning(
                "a copy cannot be brought to the head",
                metadata: ["tenant.id": "\(tenant)", "copy": "\(copy.name)", "error": "\(Self.reason(error))"])
        }
        return retry.pause(after: failures)
    }

    private static func reason(_ error: any Error) -> String {
        switch DeliveryFailure(error) {
        case .leaseLost: "the lease was lost"
        case .unavailable(let reason), .refused(let reason): reason
        }
    }
}
