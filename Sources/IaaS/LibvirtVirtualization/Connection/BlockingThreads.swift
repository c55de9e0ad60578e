import CLinux
import Dispatch
import Foundation
import Synchronization
import Virtualization

/// A few threads for calls that block, so that none blocks the cooperative pool. Calls wait in line; each is given up at its
/// deadline, though the thread it holds is free only when libvirt returns.
final class BlockingThreads: Sendable {
    private let line = Line()
    private let count: Int
    private let limit: Int

    /// - Parameters:
    ///   - count: how many calls are made at once.
    ///   - limit: how many may wait; more are refused as ``VirtualizationError/Code/unavailable``.
    init(count: Int = 4, limit: Int = 256) {
        self.count = count
        self.limit = limit
    }

    /// The threads end when nobody holds them any more.
    deinit { line.close(threads: count) }

    func run<Value: Sendable>(
        within deadline: Duration, _ body: @escaping @Sendable () throws(VirtualizationError) -> Value
    ) async throws(VirtualizationError) -> Value {
        let answer = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Value, VirtualizationError>, Never>) in
            let once = Once(continuation)
            let isTaken = line.append(limit: limit, threads: count) {
                // Nobody waits any more for what was given up in line.
                if !once.isDone { once.finish(Result { () throws(VirtualizationError) in try body() }) }
            }
            guard isTaken else {
                once.finish(.failure(VirtualizationError(.unavailable, "too many calls wait for the hypervisor")))
                return
            }
            DispatchQueue.global().asyncAfter(deadline: .now() + deadline.seconds) {
                once.finish(
                    .failure(VirtualizationError(.timedOut, "the hypervisor did not answer within \(deadline)")))
            }
        }
        return try answer.get()
    }

    /// Calls in line, and the threads that make them, which are started by the first call.
    private final class Line: Sendable {
        private struct State {
            var calls: [@Sendable () -> Void] = []
            var isStarted = false
        }

        private let state = Mutex(State())
        /// Counts the calls in line; at the end, one for each thread to find none.
        private let signal = DispatchSemaphore(value: 0)

        /// False when the line is full.
        func append(limit: Int, threads: Int, _ call: @escaping @Sendable () -> Void) -> Bool {
            let (isTaken, mustStart) = state.withLock { state -> (Bool, Bool) in
                guard state.calls.count < limit else { return (false, false) }
                state.calls.append(call)
                defer { state.isStarted = true }
                return (true, !state.isStarted)
            }
            if mustStart { for _ in 0..<threads { Thread.detachNewThread { self.work() } } }
            if isTaken { signal.signal() }
            return isTaken
        }

        func close(threads: Int) {
            for _ in 0..<threads { signal.signal() }
        }

        private func work() {
            unsafe cl_name_thread("libvirt-call")
            while true {
                signal.wait()
                guard let call = state.withLock({ $0.calls.isEmpty ? nil : $0.calls.removeFirst() }) else { return }
                call()
            }
        }
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
