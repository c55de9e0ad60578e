package import Coordination
import Synchronization
package import Virtualization

/// Keeps looking whether running machines serve. A guest that does not answer costs seconds, so those that did when they were
/// last looked at do not wait for the others, and nothing else waits for either.
package struct ReadinessWatch: Sendable {
    private let driver: any VirtualizationDriver

    /// How many of each are looked at together: operations' own looks have as many threads again.
    private static let together = 8
    /// At most so many silent ones in a row, so that one that has just started is not behind all the others.
    private static let row = 32

    package init(driver: any VirtualizationDriver) {
        self.driver = driver
    }

    /// Works until cancelled or something fails.
    package func run(leader: LeaderContext) async throws {
        let store = PoolStore(leader: leader)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    try await look(at: try await running(store).filter(\.isReady), store) { _, _ in }
                    try await Task.sleep(for: .seconds(2))
                }
            }
            group.addTask {
                let schedule = Mutex(ReadinessSchedule())
                while true {
                    let silent = try await running(store).filter { !$0.isReady }
                    let due = schedule.withLock { schedule in
                        schedule.due(
                            starting: silent.filter { !$0.isLate }.map(\.id), late: silent.filter(\.isLate).map(\.id),
                            at: .now)
                    }
                    let next = due.prefix(Self.row).compactMap { id in silent.first { $0.id == id } }
                    try await look(at: next, store) { instance, isReady in
                        guard !isReady, instance.isLate else { return }
                        schedule.withLock { $0.missed(instance.id, at: .now) }
                    }
                    try await Task.sleep(for: .milliseconds(500))
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func running(_ store: PoolStore) async throws -> [AskedInstance] {
        try await store.instances().filter { !$0.isBusy && $0.isRunning }
    }

    private func look(
        at instances: [AskedInstance], _ store: PoolStore, _ note: @escaping @Sendable (AskedInstance, Bool) -> Void
    ) async throws {
        let readiness = Readiness(driver: driver)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, instance) in instances.enumerated() {
                if index >= Self.together { try await group.next() }
                group.addTask {
                    let reason: String?
                    do {
                        reason = try await readiness.reason(instance)
                    } catch let error as VirtualizationError {
                        reason = "it could not be looked at: \(error.code)"
                    }
                    try await store.setReadiness(of: instance, reason: reason)
                    note(instance, reason == nil)
                }
            }
            try await group.waitForAll()
        }
    }
}

/// When machines that do not answer are looked at again: all the time until their probe's deadline, then less and less often.
package struct ReadinessSchedule: Sendable {
    private struct Entry {
        var misses: Int
        var due: ContinuousClock.Instant
    }

    package static let longestPause: Duration = .seconds(30)
    /// Machines past their deadline.
    private var late: [String: Entry] = [:]

    package init() {}

    /// The pause after so many looks past the deadline: 1, 2, 4, 8, 16, 30 seconds.
    package static func pause(after misses: Int) -> Duration {
        min(.seconds(1 << min(max(misses - 1, 0), 10)), longestPause)
    }

    /// Those whose turn it is: first those that may still be starting, then, of those past their deadline, whoever has waited
    /// longest. Of these, who is not there any more is forgotten.
    package mutating func due(starting: [String], late present: [String], at now: ContinuousClock.Instant) -> [String] {
        let there = Set(present)
        late = late.filter { there.contains($0.key) }
        func due(_ id: String) -> ContinuousClock.Instant { late[id]?.due ?? now }
        return starting + present.filter { due($0) <= now }.sorted { due($0) < due($1) }
    }

    /// One past its deadline has not answered once more.
    package mutating func missed(_ id: String, at now: ContinuousClock.Instant) {
        let misses = (late[id]?.misses ?? 0) + 1
        late[id] = Entry(misses: misses, due: now + Self.pause(after: misses))
    }
}

extension AskedInstance {
    /// Whether its probe should have answered by now.
    fileprivate var isLate: Bool { runningFor ?? .zero >= probeDeadline }
}
