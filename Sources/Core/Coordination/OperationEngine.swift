package import Logging
import NIOCore
import PostgresDriver
import Synchronization

/// Carries out operations for as long as this controller leads: different ones in parallel, one at a time for each thing of a
/// tenant, what an earlier leader left half done first.
package final class OperationEngine: Sendable {
    package struct Settings: Sendable {
        /// Operations that act at the same time. One that waits for something, or for another try, leaves its place to others,
        /// and goes on without asking for it again.
        package var parallel = 16
        /// Operations under way at the same time, those that wait included.
        package var open = 256
        /// The same of one tenant.
        package var share = 32
        /// How often the control database is asked when no notification comes.
        package var interval: Duration = .seconds(1)
        /// Operations that ended longer ago are forgotten.
        package var keptDays: Int32 = 90

        package init() {}
    }

    private let ledger: OperationLedger
    private let leader: LeaderContext
    private let handlers: [String: any OperationHandler]
    private let settings: Settings
    private let logger: Logger
    private let runs = Mutex<[String: OperationRun]>([:])
    /// Ends that the control database refused, as far as that is in the log.
    private let refused = Mutex<Set<String>>([])
    private let wakes: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    /// - Parameter handlers: one for each kind; a later one of the same kind wins.
    package init(
        leader: LeaderContext, handlers: [any OperationHandler], settings: Settings = Settings(), logger: Logger
    ) {
        self.leader = leader
        ledger = OperationLedger(leader: leader)
        self.handlers = Dictionary(handlers.map { ($0.kind, $0) }) { _, last in last }
        self.settings = settings
        self.logger = logger
        (wakes, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Works until cancelled, then ends without an error. Once only.
    ///
    /// - Throws: ``CoordinationError`` when the control database does not answer or another controller leads.
    package func run() async throws {
        let interval = settings.interval
        let waker = waker
        let control = leader.control
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask {
                for await _ in control.listen("control_operation") { waker.yield() }
            }
            group.addTask {
                while !Task.isCancelled {
                    waker.yield()
                    try? await Task.sleep(for: interval)
                }
            }
            for await _ in wakes {
                do {
                    for taken in try await pass() {
                        group.addTask {
                            do {
                                try await self.carryOut(taken)
                            } catch {
                                // The group cancels its tasks, those that wake included, but not this loop.
                                waker.finish()
                                throw error
                            }
                        }
                    }
                } catch  where Task.isCancelled {
                    // Cut off; an operation's own error, if there is one, is the group's.
                    break
                }
            }
        }
    }

    /// Forgets what ended long ago.
    package func purge() async throws {
        try await ledger.purge(days: settings.keptDays)
    }

    /// An operation of this term.
    private struct Taken: Sendable {
        let record: OperationRecord
        let deadline: ContinuousClock.Instant
    }

    /// - Returns: the operations that were taken up.
    private func pass() async throws(CoordinationError) -> [Taken] {
        for id in try await ledger.unsettled() { try await settle(id) }
        for id in try await ledger.cancelled() { runs.withLock { $0[id] }?.signal(.cancelled) }
        let (open, acting) = runs.withLock { runs in (runs.count, runs.values.count { !$0.isWaiting }) }
        let free = min(settings.parallel - acting, settings.open - open)
        guard free > 0 else { return [] }
        var taken: [Taken] = []
        for (record, left) in try await ledger.claim(free, share: settings.share) {
            let one = Taken(record: record, deadline: .now + left)
            try await begin(one)
            taken.append(one)
        }
        return taken
    }

    /// An end that the database refuses, in a deadlock for example, is tried again later and holds up nobody else.
    private func settle(_ id: String) async throws(CoordinationError) {
        do {
            try await ledger.settle(id)
            refused.withLock { _ = $0.remove(id) }
        } catch  where error.code == .failed {
            guard refused.withLock({ $0.insert(id).inserted }) else { return }
            logger.warning("operation cannot be settled", metadata: ["operation.id": "\(id)", "error": "\(error)"])
        }
    }

    /// Makes ready to go on where the control database says that it is.
    private func begin(_ taken: Taken) async throws(CoordinationError) {
        let record = taken.record
        let run = OperationRun(
            context: OperationContext(operation: record, control: leader.control, fencingToken: leader.fencingToken),
            handler: handlers[record.kind] ?? UnknownOperation(kind: record.kind), timeLeft: taken.deadline - .now,
            standing: try await ledger.standing(record.id), ledger: ledger, logger: logger)
        runs.withLock { $0[record.id] = run }
    }

    /// A record that the database refuses, in a deadlock for example, holds up its own operation only.
    private func carryOut(_ taken: Taken) async throws {
        let id = taken.record.id
        defer {
            runs.withLock { _ = $0.removeValue(forKey: id) }
            waker.yield()
        }
        var refusals = 0
        while true {
            do {
                if refusals > 0 { try await begin(taken) }
                try await runs.withLock { $0[id] }?.run()
                return
            } catch  where Task.isCancelled {
                // The next leader takes it up where it was.
                return
            } catch let error as CoordinationError where error.code == .failed {
                refusals += 1
                logger.warning(
                    "operation cannot be recorded",
                    metadata: ["operation.id": "\(id)", "operation.kind": "\(taken.record.kind)", "error": "\(error)"])
                try? await Task.sleep(for: .milliseconds(200 << min(refusals - 1, 7)))
            }
        }
    }
}

/// A kind that no handler of this controller knows: it fails at once.
private struct UnknownOperation: OperationHandler {
    let kind: String

    var steps: [OperationStep] {
        [
            OperationStep("find-handler", percent: 0) { context in
                throw OperationFailure(
                    "no-handler", "this region has nothing that carries out \(context.operation.kind)")
            }
        ]
    }
}
