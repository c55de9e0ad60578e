import CloudHTTP
import NIOCore

/// Runs `body` and gives up at `deadline`: the body is cancelled, the caller gets 504.
///
/// A body that ignores cancellation still holds the caller until it ends; every wait of ours ends when cancelled.
func withDeadline<Result: Sendable>(
    _ deadline: NIODeadline, _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            let left = deadline - .now()
            try await Task.sleep(for: .nanoseconds(max(0, left.nanoseconds)))
            return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let result = first else { throw Problem(.deadlineExceeded) }
        return result
    }
}
