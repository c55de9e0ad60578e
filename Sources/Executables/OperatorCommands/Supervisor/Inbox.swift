import Dispatch
import Synchronization

/// What happened, in order, for one thread that waits for it.
final class Inbox<Event: Sendable>: Sendable {
    private let events = Mutex<[Event]>([])
    private let signal = DispatchSemaphore(value: 0)

    func post(_ event: Event) {
        events.withLock { $0.append(event) }
        signal.signal()
    }

    /// Everything that has arrived; waits up to `milliseconds` for a first one.
    func next(within milliseconds: Int64) -> [Event] {
        _ = signal.wait(timeout: .now() + .milliseconds(Int(max(0, milliseconds))))
        return events.withLock { events in
            defer { events.removeAll(keepingCapacity: true) }
            return events
        }
    }
}
