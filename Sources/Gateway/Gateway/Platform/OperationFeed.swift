package import ApplicationRegistry
import CloudModel
package import Coordination
import PostgresDriver
import Synchronization
package import TenantRegistry

/// Tells every watcher of this worker what becomes of its operation: one listening connection and one question to the control
/// database for all of them together, however many there are.
///
/// Nothing is kept for a watcher that is not asking: events lie in the control database and are fetched when it asks again,
/// so a slow client costs no memory.
package final class OperationFeed: Sendable {
    private struct Waiter {
        let operation: String
        let after: Int32
        let until: ContinuousClock.Instant
        let continuation: CheckedContinuation<[OperationEvent]?, Never>
    }

    private struct State {
        var waiters: [UInt64: Waiter] = [:]
        /// Cancelled before they had begun to wait.
        var cancelled: Set<UInt64> = []
        var nextNumber: UInt64 = 0
        var isClosed = false
    }

    private let control: ControlDatabase
    private let operations: OperationAdministration
    private let state = Mutex(State())
    private let wakes: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    package init(control: ControlDatabase, operations: OperationAdministration) {
        self.control = control
        self.operations = operations
        (wakes, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Waits for the next events of an operation.
    ///
    /// - Parameters:
    ///   - after: the number of the last event that is known.
    ///   - limit: none when there was none by then; also none at once when the task is cancelled.
    /// - Returns: nil when the feed has ended: nobody will tell anything any more.
    package func events(of operation: String, after: Int32, within limit: Duration) async -> [OperationEvent]? {
        let number = state.withLock { state in
            defer { state.nextNumber += 1 }
            return state.nextNumber
        }
        // A cancellation that came when the wait was over has left its number.
        defer { state.withLock { _ = $0.cancelled.remove(number) } }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let (waits, isClosed) = state.withLock { state in
                    if state.isClosed || state.cancelled.contains(number) { return (false, state.isClosed) }
                    state.waiters[number] = Waiter(
                        operation: operation, after: after, until: .now + limit, continuation: continuation)
                    return (true, false)
                }
                if waits { waker.yield() } else { continuation.resume(returning: isClosed ? nil : []) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                let waiter = state.waiters.removeValue(forKey: number)
                if waiter == nil { state.cancelled.insert(number) }
                return waiter
            }
            waiter?.continuation.resume(returning: [])
        }
    }

    /// Serves watchers until cancelled.
    package func run() async {
        await withTaskGroup { group in
            group.addTask {
                for await event in self.control.notifications("control_operation") {
                    switch event {
                    case .listening: self.waker.yield()
                    case .notification(let notification):
                        if self.isAwaited(notification.payload) { self.waker.yield() }
                    }
                }
            }
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: .seconds(1))
                    self.waker.yield()
                }
            }
            for await _ in wakes { await serve() }
            group.cancelAll()
        }
        let left = state.withLock { state in
            state.isClosed = true
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in left.values { waiter.continuation.resume(returning: nil) }
    }

    private func isAwaited(_ operation: String) -> Bool {
        state.withLock { state in state.waiters.values.contains { $0.operation == operation } }
    }

    private func serve() async {
        let waiters = state.withLock { $0.waiters }
        guard !waiters.isEmpty else { return }
        // One question for each operation, from where its slowest watcher stands.
        var positions: [String: Int32] = [:]
        for waiter in waiters.values {
            positions[waiter.operation] = min(positions[waiter.operation] ?? .max, waiter.after)
        }
        // Without an answer they wait on: the next tick asks again.
        let events = (try? await operations.events(after: positions)) ?? []
        let byOperation = Dictionary(grouping: events) { $0.operation.id }
        let now = ContinuousClock.now
        for (number, waiter) in waiters {
            let news = (byOperation[waiter.operation] ?? []).filter { $0.number > waiter.after }
            guard !news.isEmpty || waiter.until <= now else { continue }
            // Whoever takes the waiter out resumes it.
            let isOurs = state.withLock { $0.waiters.removeValue(forKey: number) != nil }
            if isOurs { waiter.continuation.resume(returning: news) }
        }
    }
}
