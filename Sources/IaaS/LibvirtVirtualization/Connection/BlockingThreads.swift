import CLinux
import Foundation
import Synchronization
import Virtualization

/// A few threads for calls that block, so that none blocks the cooperative pool. Calls wait in line; each is given up at its
/// deadline, though the thread it holds is free only when libvirt returns.
final class BlockingThreads: Sendable {
    private let queue: OperationQueue
    private let waiting = Atomic(0)
    private let limit: Int

    /// - Parameters:
    ///   - count: how many calls are made at once.
    ///   - limit: how many may wait or run; more are refused as ``VirtualizationError/Code/unavailable``.
    init(count: Int = 4, limit: Int = 256) {
        queue = OperationQueue()
        queue.name = "libvirt"
        queue.maxConcurrentOperationCount = count
        self.limit = limit
    }

    func run<Value: Sendable>(
        within deadline: Duration, _ body: @escaping @Sendable () throws(VirtualizationError) -> Value
    ) async throws(VirtualizationError) -> Value {
        guard waiting.add(1, ordering: .relaxed).newValue <= limit else {
            waiting.subtract(1, ordering: .relaxed)
            throw VirtualizationError(.unavailable, "too many calls wait for the hypervisor")
        }
        let answer = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Value, VirtualizationError>, Never>) in
            let once = Once(continuation)
            queue.addOperation { [self] in
                // Nobody waits any more for what was given up in line.
                if !once.isDone { once.finish(Result { () throws(VirtualizationError) in try body() }) }
                waiting.subtract(1, ordering: .relaxed)
            }
            DispatchQueue.global().asyncAfter(deadline: .now() + deadline.seconds) {
                once.finish(
                    .failure(VirtualizationError(.timedOut, "the hypervisor did not answer within \(deadline)")))
            }
        }
        return try answer.get()
    }

    /// The answer goes to the caller once, whoever is first.
    private final class Once<Value: Sendable>: Sendable {
        private let continuation: Mutex<CheckedContinuation<Result<Value, VirtualizationError>, Never>?>

        init(_ continuation: CheckedContinuation<Result<Value, VirtualizationError>, Never>) {
            self.continuation = Mutex(continuation)
        }

        var isDone: Bool { continuation.withLock { $0 == nil } }

        func finish(_ result: Result<Value, VirtualizationError>) {
            continuation.withLock { continuation in
                defer { continuation = nil }
                return continuation
            }?.resume(returning: result)
        }
    }
}

extension Duration {
    /// As a floating-point number of seconds.
    var seconds: Double { self / .seconds(1) }
}
