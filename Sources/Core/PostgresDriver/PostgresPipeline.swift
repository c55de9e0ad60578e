package import Logging
package import NIOCore
import Synchronization

/// One pipelined connection of one event loop to one database, for bounded statements that never block: point reads and
/// small inserts. What is asked within one tick of the loop travels as one batch with one Sync; four batches may be on
/// their way. A slow statement holds up those behind it, `statementTimeout` bounds it.
///
/// Each batch is one transaction. When a statement fails, its batch is rolled back and the others are sent again by
/// themselves, so a caller sees only its own failure.
package final class PostgresPipeline: @unchecked Sendable {
    // Proof of @unchecked Sendable: every `var` is read and written on `eventLoop` only; public functions assert it or
    // hop there. `mayShed` is atomic.

    private struct Waiting {
        let bound: BoundStatement
        let promise: EventLoopPromise<PostgresResult>
    }
    package static let defaultMaximumQueued = 4096

    package let configuration: PostgresConfiguration
    package let eventLoop: any EventLoop
    private let idleTimeout: TimeAmount
    private let budget: PostgresConnectionBudget?
    private let logger: Logger
    private let mayShed = Atomic(false)
    private var machine: PipelineStateMachine
    private var waiting: [UInt64: Waiting] = [:]
    private var nextJob: UInt64 = 1
    private var session: PostgresSession?
    private var lastUse = NIODeadline.now()

    /// Does no I/O; the connection is made with the first query and closed after `idleTimeout` without one.
    package init(
        configuration: PostgresConfiguration, eventLoop: any EventLoop,
        maximumQueued: Int = PostgresPipeline.defaultMaximumQueued, idleTimeout: Duration = .seconds(60),
        budget: PostgresConnectionBudget? = nil, logger: Logger
    ) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.idleTimeout = .nanoseconds(idleTimeout.nanoseconds)
        self.budget = budget
        self.logger = logger
        machine = PipelineStateMachine(maximumQueued: maximumQueued)
    }

    /// Runs one statement. Call it on `eventLoop`; the future completes there, after the commit.
    ///
    /// Fails with `.poolExhausted` when too many wait, `.connection` when the connection cannot be made or is lost.
    /// - Parameter retryable: doing it twice does no harm, as with a read, so a lost connection does not fail it at once.
    package func query(
        _ statement: PostgresStatement, _ values: [PostgresValue] = [], retryable: Bool = true
    ) -> EventLoopFuture<PostgresResult> {
        guard eventLoop.inEventLoop else {
            return eventLoop.flatSubmit { self.query(statement, values, retryable: retryable) }
        }
        let bound: BoundStatement
        do {
            bound = try BoundStatement(statement, values)
        } catch {
            return eventLoop.makeFailedFuture(error)
        }
        let job = PipelineStateMachine.Job(id: nextJob, isRepeatable: retryable)
        nextJob += 1
        let action = machine.submit(job)
        switch action {
        case .rejectFull:
            return eventLoop.makeFailedFuture(PostgresError(.poolExhausted, "too many queries wait"))
        case .rejectClosed:
            return eventLoop.makeFailedFuture(PostgresError(.closed, "the pipeline is closed"))
        case .connect, .flush, .queued: break
        }
        let promise = eventLoop.makePromise(of: PostgresResult.self)
        waiting[job.id] = Waiting(bound: bound, promise: promise)
        switch action {
        case .connect: connect()
        // After the tick's other work, so that its queries share a batch.
        case .flush: eventLoop.execute { self.flush() }
        case .queued, .rejectFull, .rejectClosed: break
        }
        return promise.futureResult
    }

    /// Fails what waits with `.closed` and closes the connection. From any thread.
    package func close() {
        guard eventLoop.inEventLoop else {
            eventLoop.execute { self.close() }
            return
        }
        let error = PostgresError(.closed, "the pipeline is closed")
        for id in machine.close() { fail(id, error) }
        session?.close(error)
        session = nil
    }

    // MARK: Connecting

    private func connect() {
        if let budget, !budget.acquire(for: self) {
            connectFailed(PostgresError(.poolExhausted, "the process may have no more connections"))
            return
        }
        let session = PostgresSession(
            configuration: configuration, eventLoop: eventLoop,
            maximumOutstanding: PipelineStateMachine.maximumOutstanding,
            onClose: { [weak self, budget] session, error in
                budget?.release()
                self?.sessionClosed(session)
            })
        self.session = session
        session.connect { [weak self] result in
            switch result {
            case .success: self?.connected()
            case .failure(let error): self?.connectFailed(error)
            }
        }
    }

    private func connected() {
        machine.connected()
        lastUse = .now()
        scheduleIdleCheck()
        flush()
    }

    private func connectFailed(_ error: PostgresError) {
        session = nil
        let decision = machine.connectFailed(isPermanent: error.isPermanentRefusal, random: .random(in: 0..<1))
        switch decision {
        case .retry(let wait): retry(after: wait)
        case .fail(let ids, let wait):
            logger.info(
                "postgres pipeline cannot connect",
                metadata: ["database.name": "\(configuration.database)", "error.code": "\(error)"])
            for id in ids { fail(id, error) }
            if let wait { retry(after: wait) }
        case nil: break
        }
    }

    private func retry(after wait: Duration) {
        eventLoop.scheduleTask(in: .nanoseconds(wait.nanoseconds)) { [weak self] in
            guard let self, machine.retry() else { return }
            connect()
        }
    }

    private func sessionClosed(_ closed: PostgresSession) {
        guard closed === session else { return }
        mayShed.store(false, ordering: .relaxed)
        session = nil
        if machine.lost() { connect() }
    }

    // MARK: Batches

    private func flush() {
        guard let session, session.isOpen else { return }
        while true {
            let jobs = machine.nextBatch()
            if jobs.isEmpty { break }
            mayShed.store(false, ordering: .relaxed)
            var statements: [BoundStatement] = []
            statements.reserveCapacity(jobs.count)
            for job in jobs {
                if let entry = waiting[job.id] { statements.append(entry.bound) }
            }
            session.announce()
            session.submit(
                SessionRequest(
                    id: SessionRequest.nextID(), work: .statements(statements), deadline: nil, cancellation: nil,
                    completion: { [weak self] reply in self?.ended(jobs, reply) }))
        }
    }

    private func ended(_ jobs: [PipelineStateMachine.Job], _ reply: SessionReply) {
        lastUse = .now()
        var verdicts: [PipelineStateMachine.Verdict] = []
        verdicts.reserveCapacity(reply.outcomes.count)
        for outcome in reply.outcomes {
            switch outcome {
            case .success: verdicts.append(reply.isComplete ? .succeeded : .lost)
            case .failure(let error):
                if !reply.isComplete {
                    verdicts.append(.lost)
                } else {
                    verdicts.append(error.isStaleStatement ? .stale : .failed)
                }
            case .aborted: verdicts.append(.aborted)
            }
        }
        let settlements = machine.ended(jobs, verdicts, commitFailed: reply.commitFailed)
        if settlements.count == jobs.count, !verdicts.contains(where: { verdict in verdict != .succeeded }) {
            // The common case: everything succeeded, in order.
            for (job, outcome) in zip(jobs, reply.outcomes) {
                guard case .success(let result) = outcome else { continue }
                waiting.removeValue(forKey: job.id)?.promise.succeed(result)
            }
        } else {
            settle(settlements, jobs, reply)
        }
        if machine.isIdle {
            mayShed.store(true, ordering: .relaxed)
            if budget?.hasWaiters(beside: self) == true { _ = shedIdleConnection() }
        }
        flush()
    }

    private func settle(
        _ settlements: [PipelineStateMachine.Settlement], _ jobs: [PipelineStateMachine.Job], _ reply: SessionReply
    ) {
        var outcomes: [UInt64: StatementOutcome<PostgresResult, PostgresError>] = [:]
        for (index, job) in jobs.enumerated() {
            // A session that failed as a whole answers once for all.
            outcomes[job.id] = index < reply.outcomes.count ? reply.outcomes[index] : reply.outcomes.last
        }
        for settlement in settlements {
            switch settlement {
            case .succeed(let id):
                if case .success(let result)? = outcomes[id] {
                    waiting.removeValue(forKey: id)?.promise.succeed(result)
                }
            case .fail(let id):
                if case .failure(let error)? = outcomes[id] {
                    fail(id, error)
                } else {
                    fail(id, PostgresError(.connection, "the connection was lost"))
                }
            }
        }
    }

    private func fail(_ id: UInt64, _ error: PostgresError) {
        waiting.removeValue(forKey: id)?.promise.fail(error)
    }

    // MARK: Idling

    private func scheduleIdleCheck() {
        eventLoop.scheduleTask(in: idleTimeout) { [weak self] in
            guard let self, let session, session.isOpen else { return }
            if machine.isIdle, lastUse + idleTimeout <= .now() {
                session.close(PostgresError(.closed, "the connection was idle"))
            } else {
                scheduleIdleCheck()
            }
        }
    }
}

extension PostgresPipeline: PostgresBudgetMember {
    func shedIdleConnection() -> Bool {
        guard mayShed.exchange(false, ordering: .relaxed) else { return false }
        eventLoop.execute { [self] in
            guard machine.isIdle, let session, session.isOpen else { return }
            session.close(PostgresError(.closed, "another database needs the connection"))
        }
        return true
    }

    func budgetIsAvailable() {
        eventLoop.execute { [self] in
            if machine.retry() { connect() }
        }
    }
}
