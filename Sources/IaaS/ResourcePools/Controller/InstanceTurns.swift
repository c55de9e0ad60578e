import Synchronization

/// One at a time acts on an instance: a step of its operation, or the reconciler. Without it a start that the reconciler has
/// decided on, and that takes the hypervisor a while, would come after the stop that somebody has asked for meanwhile.
package final class InstanceTurns: Sendable {
    private struct Waiter {
        let number: Int
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        /// Who waits, for each instance that is somebody's turn.
        var lines: [String: [Waiter]] = [:]
        var count = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Runs `body` when it is its turn. Whoever came first comes first.
    ///
    /// - Throws: `CancellationError` when cancelled in line, and what `body` throws.
    package func take<Result: Sendable>(
        _ instance: String, _ body: () async throws -> Result
    ) async throws -> Result {
        guard await enter(instance) else { throw CancellationError() }
        defer { leave(instance) }
        return try await body()
    }

    /// Runs `body` unless it is somebody else's turn.
    package func takeIfFree(_ instance: String, _ body: () async throws -> Void) async throws {
        let isFree = state.withLock { state in
            guard state.lines[instance] == nil else { return false }
            state.lines[instance] = []
            return true
        }
        guard isFree else { return }
        defer { leave(instance) }
        try await body()
    }

    /// False when cancelled in line.
    private func enter(_ instance: String) async -> Bool {
        let number = state.withLock { state in
            state.count += 1
            return state.count
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isIn: Bool? = state.withLock { state in
                    // Whoever is cancelled from here on finds itself in line.
                    if Task.isCancelled { return false }
                    guard state.lines[instance] != nil else {
                        state.lines[instance] = []
                        return true
                    }
                    state.lines[instance]?.append(Waiter(number: number, continuation: continuation))
                    return nil
                }
                if let isIn { continuation.resume(returning: isIn) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard let index = state.lines[instance]?.firstIndex(where: { $0.number == number }) else { return nil }
                return state.lines[instance]?.remove(at: index)
            }
            waiter?.continuation.resume(returning: false)
        }
    }

    private func leave(_ instance: String) {
        let next = state.withLock { state -> Waiter? in
            guard state.lines[instance]?.isEmpty == false else {
                state.lines[instance] = nil
                return nil
            }
            return state.lines[instance]?.removeFirst()
        }
        next?.continuation.resume(returning: true)
    }
}
