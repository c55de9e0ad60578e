package import Logging
import NIOCore
import PostgresDriver
import Synchronization

/// Carries out operations for as long as this controller leads: different ones in parallel, one at a time for each thing of a
/// tenant, what an earlier leader left half done first.
package final class OperationEngine: Sendable {
    package struct Settings: Sendable {
        /// Operations under way at the same time, those that wait for something included.
        package var parallel = 16
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
                    for id in try await pass() {
                        group.addTask {
                            do {
                                try await self.carryOut(id)
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

    /// - Returns: the operations that were taken up.
    private func pass() async throws(CoordinationError) -> [String] {
        try await ledger.settle()
        for id in try await ledger.cancelled() { runs.withLock { $0[id] }?.signal(.cancelled) }
        let free = settings.parallel - runs.withLock { $0.count }
        guard free > 0 else { return [] }
        var taken: [String] = []
        for (record, left) in try await ledger.claim(free) {
            let run = OperationRun(
                context: OperationContext(
                    operation: record, control: leader.control, fencingToken: leader.fencingToken),
                handler: handlers[record.kind] ?? UnknownOperation(kind: record.kind), timeLeft: left,
                standing: try await ledger.standing(record.id), ledger: ledger, logger: logger)
            runs.withLock { $0[record.id] = run }
            taken.append(record.id)
        }
        return taken
    }

    private func carryOut(_ id: String) async throws {
        defer {
            runs.withLock { _ = $0.removeValue(forKey: id) }
            waker.yield()
        }
        do {
            try await runs.withLock { $0[id] }?.run()
        } catch  where Task.isCancelled {
            // The next leader takes it up where it was.
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
