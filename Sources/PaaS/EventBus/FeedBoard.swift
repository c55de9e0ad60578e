import CloudModel

/// What one process knows of each tenant's lease for one consumer, and what it should do next. A pure machine: events go in,
/// an action comes out.
struct FeedBoard: Sendable {
    typealias Instant = ContinuousClock.Instant

    enum Action: Sendable, Hashable {
        /// Try to get the lease, and work when it is ours.
        case claim(TenantID)
        /// The feed that we hold has something to do.
        case wake(TenantID)
        /// Another process holds the lease: let it know.
        case tell(TenantID)
    }

    private enum Standing: Sendable, Hashable {
        case free
        /// Being asked for; `again` when something happened meanwhile.
        case claiming(again: Bool)
        /// Ours; `again` when something happened that the feed has not looked at.
        case held(again: Bool)
        case elsewhere(until: Instant)
    }

    private struct Entry: Sendable {
        var standing: Standing
        /// When to look without being told.
        var lookAt: Instant
        /// Failures in a row, for the pause before the next look.
        var failures: Int32 = 0
    }

    private var entries: [TenantID: Entry] = [:]
    private let sweep: Duration
    private let pauses: RetryPolicy

    /// - Parameters:
    ///   - sweep: each tenant is looked at so often though nobody said anything.
    ///   - pauses: between looks that fail.
    init(sweep: Duration, pauses: RetryPolicy) {
        self.sweep = sweep
        self.pauses = pauses
    }

    /// Tenants whose lease is ours.
    var held: [TenantID] {
        entries.compactMap { tenant, entry in
            if case .held = entry.standing { return tenant }
            return nil
        }
    }

    /// This process wrote in the tenant's database.
    mutating func committed(_ tenant: TenantID, now: Instant) -> Action? {
        if case .elsewhere(let until) = entry(tenant, now).standing, until > now { return .tell(tenant) }
        return stir(tenant, now)
    }

    /// Another process says that there is work. It told whoever holds the lease, which may have been us until just now.
    mutating func notified(_ tenant: TenantID, now: Instant) -> Action? {
        if case .elsewhere(let until) = entry(tenant, now).standing, until > now { return nil }
        return stir(tenant, now)
    }

    /// Nobody holds the lease, and there is work.
    mutating func abandoned(_ tenant: TenantID, now: Instant) -> Action? {
        stir(tenant, now)
    }

    private mutating func stir(_ tenant: TenantID, _ now: Instant) -> Action? {
        var entry = entry(tenant, now)
        defer { entries[tenant] = entry }
        switch entry.standing {
        case .free, .elsewhere:
            // After a failure the pause is kept; the look at its end sees what happened meanwhile.
            guard entry.failures == 0 || entry.lookAt <= now else { return nil }
            entry.standing = .claiming(again: false)
            return .claim(tenant)
        case .claiming:
            entry.standing = .claiming(again: true)
            return nil
        case .held:
            entry.standing = .held(again: true)
            return .wake(tenant)
        }
    }

    private func entry(_ tenant: TenantID, _ now: Instant) -> Entry {
        entries[tenant] ?? Entry(standing: .free, lookAt: now + sweep)
    }

    /// The lease is ours.
    mutating func won(_ tenant: TenantID, now: Instant) {
        var entry = entry(tenant, now)
        entry.standing = .held(again: false)
        entries[tenant] = entry
    }

    /// Another process has the lease until then, unless it renews it.
    mutating func lost(_ tenant: TenantID, until: Instant, now: Instant) -> Action? {
        var entry = entry(tenant, now)
        let again = entry.standing == .claiming(again: true)
        entry.standing = .elsewhere(until: until)
        entry.lookAt = now + sweep
        entries[tenant] = entry
        return again ? .tell(tenant) : nil
    }

    /// The feed is about to look at everything there is.
    mutating func looks(_ tenant: TenantID) {
        if case .held = entries[tenant]?.standing { entries[tenant]?.standing = .held(again: false) }
    }

    /// The lease was given back or lost. Something that happened since the last look is still to be done.
    mutating func ended(_ tenant: TenantID, failed: Bool, now: Instant) -> Action? {
        var entry = entry(tenant, now)
        let again = entry.standing == .held(again: true) || entry.standing == .claiming(again: true)
        entry.standing = .free
        entry.failures = failed ? entry.failures + 1 : 0
        entry.lookAt = now + (failed ? pauses.pause(after: entry.failures) : sweep)
        entries[tenant] = entry
        return again && !failed ? stir(tenant, now) : nil
    }

    /// The tenants that there are. New ones are looked at now, those that are gone are forgotten unless a feed runs.
    mutating func list(_ tenants: Set<TenantID>, now: Instant) {
        for tenant in tenants where entries[tenant] == nil { entries[tenant] = Entry(standing: .free, lookAt: now) }
        entries = entries.filter { tenant, entry in
            switch entry.standing {
            case .claiming, .held: true
            case .free, .elsewhere: tenants.contains(tenant)
            }
        }
    }

    /// Everybody may have missed something: looks at every tenant.
    mutating func doubt(now: Instant) {
        for tenant in entries.keys { entries[tenant]?.lookAt = now }
    }

    /// What is to be looked at without being told.
    mutating func due(now: Instant) -> [Action] {
        entries.compactMap { tenant, entry in
            switch entry.standing {
            case .free: entry.lookAt <= now ? tenant : nil
            case .elsewhere(let until): entry.lookAt <= now && until <= now ? tenant : nil
            case .claiming, .held: nil
            }
        }
        .compactMap { stir($0, now) }
    }
}
