import Synchronization

/// Lets a bounded number of callers in at a time, in the order of asking.
final class TestGate: Sendable {
    private struct State {
        var free: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    /// Who is inside needs no second turn, or those inside could wait for each other.
    @TaskLocal private static var isInside = false
    private let state: Mutex<State>

    init(width: Int) {
        state = Mutex(State(free: width))
    }

    func withTurn<R: Sendable>(_ body: @Sendable () async throws -> R) async throws -> R {
        if Self.isInside { return try await body() }
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.free > 0 {
                    state.free -= 1
                    return true
                }
                state.waiting.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
        defer { leave() }
        return try await Self.$isInside.withValue(true) { try await body() }
    }

    private func leave() {
        let next: CheckedContinuation<Void, Never>? = state.withLock { state in
            if state.waiting.isEmpty {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
