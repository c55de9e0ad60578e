import NIOCore
import NIOPosix

/// Cancelling: a request that waits is dropped, one that runs is stopped in the server.
extension PostgresSession {
    /// `PQcancel` blocks, so it has threads of its own; they live as long as the process.
    private static let cancelThreads: NIOThreadPool = {
        let threads = NIOThreadPool(numberOfThreads: 2)
        threads.start()
        return threads
    }()

    /// Cancels request `id` because of `reason`. Its completion still says what really happened: a statement that ended
    /// before the cancel request reached it has succeeded.
    func cancel(_ id: UInt64, _ reason: PostgresError) {
        eventLoop.assertInEventLoop()
        if let index = pending.firstIndex(where: { request in request.id == id }) {
            let request = pending.remove(at: index)
            finish(request, .failure(reason))
            return
        }
        guard var entry = inFlight[id], entry.cancelReason == nil, entry.reply == nil, isOpen else { return }
        entry.cancelReason = reason
        entry.graceTimer = eventLoop.scheduleTask(in: Self.cancelGrace) { [weak self] in
            self?.close(PostgresError(.connection, "a cancelled statement did not end"))
        }
        inFlight[id] = entry
        guard let canceller = connection?.makeCanceller() else { return }
        cancelsRunning += 1
        Self.cancelThreads.submit { _ in
            canceller.cancel()
            // The session is kept until then.
            self.eventLoop.execute { self.cancelReturned(id) }
        }
    }

    private func cancelReturned(_ id: UInt64) {
        cancelsRunning -= 1
        guard isOpen else { return }
        if let reply = inFlight[id]?.reply {
            answer(id, reply)
        }
        pump()
    }
}
