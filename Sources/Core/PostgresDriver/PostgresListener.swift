import Logging
import NIOCore
import Synchronization

/// Keeps one connection that listens to a channel and makes it again when it is lost.
final class PostgresListener: Sendable {
    private struct State {
        var session: PostgresSession?
        var backoff = Backoff()
        var isStopped = false
    }
    private let configuration: PostgresConfiguration
    private let channel: String
    private let eventLoop: any EventLoop
    private let budget: PostgresConnectionBudget?
    private let logger: Logger
    private let continuation: AsyncStream<PostgresListenEvent>.Continuation
    private let state = Mutex(State())

    init(
        configuration: PostgresConfiguration, channel: String, eventLoop: any EventLoop,
        budget: PostgresConnectionBudget?, logger: Logger,
        continuation: AsyncStream<PostgresListenEvent>.Continuation
    ) {
        self.configuration = configuration
        self.channel = channel
        self.eventLoop = eventLoop
        self.budget = budget
        self.logger = logger
        self.continuation = continuation
    }

    func start() {
        eventLoop.execute { self.open() }
    }

    func stop() {
        let session: PostgresSession? = state.withLock { state in
            state.isStopped = true
            return state.session
        }
        continuation.finish()
        if let session {
            eventLoop.execute { session.close(PostgresError(.closed, "the listener was stopped")) }
        }
    }

    private func open() {
        if let budget, !budget.acquire(for: self) { return }
        let session = PostgresSession(
            configuration: configuration, eventLoop: eventLoop,
            onNotification: { [continuation] notification in continuation.yield(.notification(notification)) },
            onClose: { [weak self, budget] _, error in
                budget?.release()
                self?.closed(error)
            })
        let isStopped = state.withLock { state in
            state.session = session
            return state.isStopped
        }
        if isStopped {
            session.close(PostgresError(.closed, "the listener was stopped"))
            return
        }
        session.connect { [weak self] result in
            if case .success = result { self?.listen(on: session) }
        }
    }

    private func listen(on session: PostgresSession) {
        session.announce()
        session.submit(
            SessionRequest(
                id: SessionRequest.nextID(), work: .simple("listen \(quotedIdentifier(channel))"), deadline: nil,
                cancellation: nil,
                completion: { [weak self] reply in
                    guard let self else { return }
                    do throws(PostgresError) {
                        _ = try reply.results()
                        state.withLock { state in state.backoff.succeeded() }
                        continuation.yield(.listening)
                    } catch {
                        session.close(error)
                    }
                }))
    }

    private func closed(_ error: PostgresError) {
        let wait: Duration? = state.withLock { state in
            state.session = nil
            return state.isStopped ? nil : state.backoff.failed(random: .random(in: 0..<1))
        }
        guard let wait else { return }
        logger.info(
            "postgres listener lost its connection",
            metadata: ["database.name": "\(configuration.database)", "error.code": "\(error)"])
        eventLoop.scheduleTask(in: .nanoseconds(wait.nanoseconds)) { [weak self] in self?.open() }
    }
}

extension PostgresListener: PostgresBudgetMember {
    func shedIdleConnection() -> Bool { false }

    func budgetIsAvailable() {
        let isNeeded = state.withLock { state in !state.isStopped && state.session == nil }
        if isNeeded { start() }
    }
}

extension PostgresPool {
    /// Listens to a channel on a connection of its own, which counts against the budget but not against the pool's
    /// maximum, until the stream is dropped or the pool shut down. The connection is made again when it is lost.
    package func listen(_ channel: String) -> AsyncStream<PostgresListenEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: PostgresListenEvent.self)
        let listener = PostgresListener(
            configuration: configuration, channel: channel, eventLoop: eventLoopGroup.next(), budget: budget,
            logger: logger, continuation: continuation)
        guard add(listener) else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self, weak listener] _ in
            guard let listener else { return }
            self?.remove(listener)
            listener.stop()
        }
        listener.start()
        return stream
    }
}

/// An identifier as SQL writes it, whatever characters it has.
package func quotedIdentifier(_ name: String) -> String {
    "\"" + name.filter { character in character != "\0" }.replacing("\"", with: "\"\"") + "\""
}
