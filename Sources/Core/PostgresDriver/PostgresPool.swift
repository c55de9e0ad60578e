package import Logging
package import NIOCore
import Synchronization

/// A bounded number of ordinary connections to one database, opened on demand and closed when idle: for writes,
/// transactions, searches, COPY. Callers are served in the order of asking.
///
/// A passed deadline or a cancelled task cancels the running statement in the server before the caller gets its error.
package final class PostgresPool: Sendable {
    /// How long a caller without a nearer deadline waits for a connection, by default.
    package static let leaseTimeout: Duration = .seconds(5)
    /// How long a pool keeps its only connection busy while others wait for one.
    static let turn: TimeAmount = .milliseconds(100)
    /// How many callers may wait.
    package static let maximumWaiters = 1024

    typealias LeaseCompletion = @Sendable (Result<PostgresSession, PostgresError>) -> Void

    private struct Waiting {
        let completion: LeaseCompletion
        let timer: Scheduled<Void>
    }

    private struct State {
        var machine: PoolStateMachine
        var sessions: [PoolStateMachine.Connection: PostgresSession] = [:]
        var numbers: [ObjectIdentifier: PoolStateMachine.Connection] = [:]
        /// Ended, but still in the hands of a caller.
        var endedWhileLeased: Set<PoolStateMachine.Connection> = []
        var waiting: [PoolStateMachine.Waiter: Waiting] = [:]
        var nextWaiter: PoolStateMachine.Waiter = 1
        var lastFailure: PostgresError?
        var idleTimer: Scheduled<Void>?
        var shutDownWaiters: [EventLoopPromise<Void>] = []
        var listeners: [ObjectIdentifier: PostgresListener] = [:]

        /// - Returns: who waits for the end of the pool, when this was the last session.
        mutating func forget(
            _ session: PostgresSession, _ number: PoolStateMachine.Connection
        ) -> [EventLoopPromise<Void>] {
            numbers.removeValue(forKey: ObjectIdentifier(session))
            sessions.removeValue(forKey: number)
            guard machine.isShutDown, sessions.isEmpty else { return [] }
            defer { shutDownWaiters.removeAll() }
            return shutDownWaiters
        }
    }

    package let configuration: PostgresConfiguration
    let eventLoopGroup: any EventLoopGroup
    let budget: PostgresConnectionBudget?
    let logger: Logger
    private let idleTimeout: TimeAmount
    private let leaseTimeout: TimeAmount
    private let state: Mutex<State>

    /// Does no I/O.
    package init(
        configuration: PostgresConfiguration,
        maximumConnections: Int = 8,
        idleTimeout: Duration = .seconds(60),
        maximumWaiters: Int = PostgresPool.maximumWaiters,
        leaseTimeout: Duration = PostgresPool.leaseTimeout,
        budget: PostgresConnectionBudget? = nil,
        eventLoopGroup: any EventLoopGroup,
        logger: Logger
    ) {
        self.configuration = configuration
        self.eventLoopGroup = eventLoopGroup
        self.budget = budget
        self.logger = logger
        self.leaseTimeout = .nanoseconds(leaseTimeout.nanoseconds)
        self.idleTimeout = .nanoseconds(idleTimeout.nanoseconds)
        state = Mutex(
            State(machine: PoolStateMachine(maximumConnections: maximumConnections, maximumWaiters: maximumWaiters)))
    }

    /// Connections open or being opened, and callers waiting.
    package var usage: (connections: Int, idle: Int, waiting: Int) {
        state.withLock { state in
            (state.machine.openOrOpening, state.machine.idleCount, state.machine.waiting)
        }
    }

    // MARK: Leasing

    /// Calls `completion` with a session: at once when one is idle, later otherwise.
    /// - Returns: the waiter to cancel, when it has to wait.
    func lease(
        deadline: NIODeadline?, _ completion: @escaping LeaseCompletion
    ) -> PoolStateMachine.Waiter? {
        var immediate: Result<PostgresSession, PostgresError>?
        var opening: PoolStateMachine.Connection?
        let waiter: PoolStateMachine.Waiter? = state.withLock { state in
            let waiter = state.nextWaiter
            state.nextWaiter += 1
            switch state.machine.lease(waiter) {
            case .use(let number):
                immediate = state.sessions[number].map(Result.success) ?? .failure(Self.lostTrack)
                return nil
            case .rejectClosed:
                immediate = .failure(PostgresError(.closed, "the pool is shut down"))
                return nil
            case .rejectFull:
                immediate = .failure(PostgresError(.poolExhausted, "too many callers wait for a connection"))
                return nil
            case .wait(let open):
                opening = open
                let limit = NIODeadline.now() + leaseTimeout
                let isOurs = deadline.map { deadline in deadline > limit } ?? true
                let timer = eventLoopGroup.any().scheduleTask(deadline: isOurs ? limit : deadline ?? limit) {
                    [weak self] in
                    self?.waiterTimedOut(waiter, isDeadline: !isOurs)
                    return ()
                }
                state.waiting[waiter] = Waiting(completion: completion, timer: timer)
                return waiter
            }
        }
        if let immediate { completion(immediate) }
        if let opening { open(opening) }
        return waiter
    }

    private static let lostTrack = PostgresError(.closed, "the connection is gone")

    func cancelLease(_ waiter: PoolStateMachine.Waiter) {
        failWaiter(waiter, PostgresError(.cancelled, "the task was cancelled"))
    }

    private func waiterTimedOut(_ waiter: PoolStateMachine.Waiter, isDeadline: Bool) {
        if isDeadline {
            failWaiter(waiter, PostgresError(.deadline, "no connection became free before the deadline"))
            return
        }
        let failure = state.withLock { state in state.lastFailure }
        failWaiter(waiter, failure ?? PostgresError(.poolExhausted, "no connection became free in time"))
    }

    private func failWaiter(_ waiter: PoolStateMachine.Waiter, _ error: PostgresError) {
        let waiting: Waiting? = state.withLock { state in
            guard state.machine.cancel(waiter) else { return nil }
            return state.waiting.removeValue(forKey: waiter)
        }
        waiting?.timer.cancel()
        waiting?.completion(.failure(error))
    }

    /// Gives a session back. It is used again when the server is outside any transaction and nothing runs on it.
    func release(_ session: PostgresSession) {
        let isWanted = budget?.hasWaiters(beside: self) == true
        let (isSound, openedAt) = session.status.withLock { status in
            (status.isIdle && !status.isRetired && status.inFlight == 0, status.openedAt)
        }
        var follow = PoolStateMachine.Follow(action: .nothing)
        let done: [EventLoopPromise<Void>] = state.withLock { state in
            guard let number = state.numbers[ObjectIdentifier(session)] else { return [] }
            // Another database waits for a connection of the process: its turn, unless this one is new and our only one.
            let isDue = isWanted && (state.machine.openOrOpening > 1 || openedAt + Self.turn < .now())
            follow = state.machine.released(number, isReusable: isSound && !isDue, now: .now())
            return state.endedWhileLeased.remove(number) == nil ? [] : state.forget(session, number)
        }
        perform(follow)
        for promise in done { promise.succeed() }
    }

    // MARK: What the machine decided

    private func perform(_ follow: PoolStateMachine.Follow) {
        switch follow.action {
        case .serve(let waiter, let number):
            let (waiting, session) = state.withLock { state in
                (state.waiting.removeValue(forKey: waiter), state.sessions[number])
            }
            waiting?.timer.cancel()
            if let session {
                if let waiting {
                    waiting.completion(.success(session))
                } else {
                    release(session)
                }
            } else {
                waiting?.completion(.failure(Self.lostTrack))
            }
        case .park:
            // Who began to wait since may have seen this connection busy.
            if budget?.hasWaiters(beside: self) != true || !shedIdleConnection() { scheduleIdleCheck() }
        case .close(let number): close(number)
        case .nothing: break
        }
        for number in follow.open { open(number) }
    }

    private func close(_ number: PoolStateMachine.Connection) {
        guard let session = state.withLock({ state in state.sessions[number] }) else { return }
        session.eventLoop.execute { session.close(PostgresError(.closed, "the connection was closed")) }
    }

    private func open(_ number: PoolStateMachine.Connection) {
        if let budget, !budget.acquire(for: self) {
            state.withLock { state in state.machine.connectDenied(number) }
            // Room that was made between the two steps would have called back too early.
            if budget.acquire(for: self) {
                budget.release()
                retry()
            }
            return
        }
        let session = PostgresSession(
            configuration: configuration, eventLoop: eventLoopGroup.next(),
            onClose: { [weak self, budget] session, error in
                budget?.release()
                self?.sessionClosed(session, error)
            })
        state.withLock { state in
            state.sessions[number] = session
            state.numbers[ObjectIdentifier(session)] = number
        }
        session.eventLoop.execute {
            session.connect { [weak self] result in
                guard let self else {
                    session.close(PostgresError(.closed, "the pool is gone"))
                    return
                }
                switch result {
                case .success: self.connected(number)
                case .failure(let error): self.connectFailed(number, error)
                }
            }
        }
    }

    private func connected(_ number: PoolStateMachine.Connection) {
        perform(
            state.withLock { state in
                state.lastFailure = nil
                return state.machine.connected(number, now: .now())
            })
    }

    private func connectFailed(_ number: PoolStateMachine.Connection, _ error: PostgresError) {
        logger.info(
            "postgres connection failed",
            metadata: ["database.name": "\(configuration.database)", "error.code": "\(error)"])
        var failed: [Waiting] = []
        let action: PoolStateMachine.FailureAction = state.withLock { state in
            state.lastFailure = error
            let action = state.machine.connectFailed(
                number, isPermanent: error.isPermanentRefusal, random: .random(in: 0..<1))
            if case .fail(let waiters) = action {
                failed = waiters.compactMap { waiter in state.waiting.removeValue(forKey: waiter) }
            }
            return action
        }
        for waiting in failed {
            waiting.timer.cancel()
            waiting.completion(.failure(error))
        }
        if case .retry(let wait) = action {
            _ = eventLoopGroup.any().scheduleTask(in: .nanoseconds(wait.nanoseconds)) { [weak self] in self?.retry() }
        }
    }

    private func retry() {
        if let number = state.withLock({ state in state.machine.retry() }) {
            open(number)
        }
    }

    private func sessionClosed(_ session: PostgresSession, _ error: PostgresError) {
        let promises: [EventLoopPromise<Void>] = state.withLock { state in
            guard let number = state.numbers[ObjectIdentifier(session)] else { return [] }
            if state.machine.lost(number) {
                state.endedWhileLeased.insert(number)
                return []
            }
            return state.forget(session, number)
        }
        for promise in promises { promise.succeed() }
    }

    private func scheduleIdleCheck() {
        state.withLock { state in
            guard state.idleTimer == nil, state.machine.idleCount > 0, !state.machine.isShutDown else { return }
            state.idleTimer = eventLoopGroup.any().scheduleTask(in: idleTimeout) { [weak self] in self?.closeIdle() }
        }
    }

    private func closeIdle() {
        let expired = state.withLock { state in
            state.idleTimer = nil
            return state.machine.expire(idleSince: .now() - idleTimeout)
        }
        for number in expired { close(number) }
        scheduleIdleCheck()
    }

    // MARK: Shutting down

    /// Refuses new leases, fails those who wait, closes idle connections and returns when the leased ones are back and
    /// closed.
    package func shutdown() async {
        let promise = eventLoopGroup.any().makePromise(of: Void.self)
        var failed: [Waiting] = []
        var closing: [PoolStateMachine.Connection] = []
        var listeners: [PostgresListener] = []
        let isDone: Bool = state.withLock { state in
            let decision = state.machine.shutDown()
            failed = decision.fail.compactMap { waiter in state.waiting.removeValue(forKey: waiter) }
            closing = decision.close
            listeners = Array(state.listeners.values)
            state.listeners.removeAll()
            state.idleTimer?.cancel()
            if state.sessions.isEmpty { return true }
            state.shutDownWaiters.append(promise)
            return false
        }
        for listener in listeners { listener.stop() }
        for waiting in failed {
            waiting.timer.cancel()
            waiting.completion(.failure(PostgresError(.closed, "the pool is shut down")))
        }
        for number in closing { close(number) }
        if isDone { promise.succeed() }
        // It only ever succeeds.
        try? await promise.futureResult.get()
    }

    // MARK: Listeners

    /// - Returns: false when the pool is shut down.
    func add(_ listener: PostgresListener) -> Bool {
        state.withLock { state in
            if state.machine.isShutDown { return false }
            state.listeners[ObjectIdentifier(listener)] = listener
            return true
        }
    }

    func remove(_ listener: PostgresListener) {
        state.withLock { state in _ = state.listeners.removeValue(forKey: ObjectIdentifier(listener)) }
    }
}

extension PostgresPool: PostgresBudgetMember {
    func shedIdleConnection() -> Bool {
        guard let number = state.withLock({ state in state.machine.shed() }) else { return false }
        close(number)
        return true
    }

    func budgetIsAvailable() {
        retry()
    }
}
