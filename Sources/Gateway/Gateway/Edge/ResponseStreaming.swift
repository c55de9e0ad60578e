import HTTPTypes
import HummingbirdCore
import ModuleKit
import NIOCore
import ServiceLifecycle
import Synchronization

/// Sends a body piece by piece: the next one is made only when the client has taken the one before, so nothing piles up. Ends
/// when the stream does, when the client goes, when the worker drains and when the time is over.
struct StreamingBody: Sendable {
    let stream: ResponseStream
    /// The longest that one answer lasts.
    let duration: TimeAmount
    /// Succeeds when the client has gone.
    let closed: EventLoopFuture<Void>

    func write(to writer: inout any ResponseBodyWriter) async throws {
        let interruption = Interruption()
        closed.whenComplete { _ in interruption.end() }
        let clock = closed.eventLoop.scheduleTask(in: duration) { interruption.end() }
        defer { clock.cancel() }
        try await withGracefulShutdownHandler {
            while let piece = try await interruption.run(stream.next) { try await writer.write(piece) }
        } onGracefulShutdown: {
            interruption.end()
        }
    }
}

/// Lets others end what a task waits for.
private final class Interruption: Sendable {
    private struct State {
        var isOver = false
        var work: Task<ByteBuffer?, any Error>?
    }

    private let state = Mutex(State())

    func end() {
        let work = state.withLock { state in
            state.isOver = true
            return state.work
        }
        work?.cancel()
    }

    /// Runs `body` in a task of its own, because who ends it is not who waits for it; nil once it is over.
    func run(_ body: @escaping @Sendable () async throws -> ByteBuffer?) async throws -> ByteBuffer? {
        let work: Task<ByteBuffer?, any Error>? = state.withLock { state in
            guard !state.isOver else { return nil }
            let work = Task { try await body() }
            state.work = work
            return work
        }
        guard let work else { return nil }
        do {
            let piece = try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                work.cancel()
            }
            return state.withLock { $0.isOver } ? nil : piece
        } catch {
            if state.withLock({ $0.isOver }) { return nil }
            throw error
        }
    }
}
