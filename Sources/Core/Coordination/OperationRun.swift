import CloudModel
import Logging
import Synchronization

/// Carries out one operation: asks the machine, acts, and tells the machine what came of it.
final class OperationRun: Sendable {
    private struct State {
        var machine: OperationMachine
        /// What runs or waits now.
        var work: Task<OperationMachine.Event, Never>?
        var isWaiting = false
    }

    private let context: OperationContext
    private let handler: any OperationHandler
    private let timeLeft: Duration
    private let ledger: OperationLedger
    private let logger: Logger
    private let state: Mutex<State>

    /// What an operation that only goes forward has at least when it is taken up: it may have been nobody's for long.
    private static let leastTimeForward: Duration = .seconds(60)

    /// - Parameter timeLeft: until the deadline.
    init(
        context: OperationContext, handler: any OperationHandler, timeLeft: Duration,
        standing: OperationLedger.Standing, ledger: OperationLedger, logger: Logger
    ) {
        self.context = context
        self.handler = handler
        self.ledger = ledger
        var logger = logger
        logger[metadataKey: "operation.id"] = .string(context.operation.id)
        logger[metadataKey: "operation.kind"] = .string(context.operation.kind)
        if let tenant = context.operation.tenant { logger[metadataKey: "tenant.id"] = .string(tenant.rawValue) }
        self.logger = logger
        let steps = handler.steps.map { step in
            OperationMachine.Step(
                step.name, canUndo: step.undo != nil, record: standing.records[step.name] ?? .none)
        }
        var machine = OperationMachine(
            steps: steps, undoing: standing.undoing,
            pointOfNoReturn: handler.pointOfNoReturn.flatMap { name in steps.firstIndex { $0.name == name } },
            isBounded: handler.isBounded)
        self.timeLeft = machine.isIrrevocable ? max(timeLeft, Self.leastTimeForward) : timeLeft
        if standing.isCancelled { _ = machine.on(.cancelled) }
        state = Mutex(State(machine: machine))
    }

    /// Whether the step that it is at waits for something, or for another try; from its first pause to the record of its end.
    var isWaiting: Bool { state.withLock { $0.isWaiting } }

    /// Somebody has cancelled the operation, or its time is over.
    func signal(_ event: OperationMachine.Event) {
        let work = state.withLock { state in
            state.machine.on(event) == .interrupt ? state.work : nil
        }
        work?.cancel()
    }

    /// Goes on until the operation has ended.
    ///
    /// - Throws: ``CoordinationError`` when the control database cannot be written or another leads, `CancellationError` when
    ///   the controller stops: the next leader takes the operation up where it was.
    func run() async throws {
        let started = ContinuousClock.now
        let expiry = Task { [self] in
            try await Task.sleep(for: timeLeft)
            signal(.expired)
        }
        defer { expiry.cancel() }
        var event = OperationMachine.Event.begin
        while true {
            try Task.checkCancellation()
            let action = state.withLock { state in
                let action = state.machine.on(event)
                switch action {
                case .pause: state.isWaiting = true
                case .recordEnd, .recordUndoing, .recordUndoEnd, .recordOutcome: state.isWaiting = false
                case .recordBeginning, .run, .interrupt, .recordUndoBeginning, .undo, .stop, .none: break
                }
                return action
            }
            guard let next = try await perform(action) else { break }
            event = next
        }
        logger.info("operation ended", metadata: ["duration": "\(ContinuousClock.now - started)"])
    }

    private func perform(_ action: OperationMachine.Action) async throws -> OperationMachine.Event? {
        let id = context.operation.id
        switch action {
        case .recordBeginning(let index):
            let step = handler.steps[index]
            let mayBegin = try await ledger.beginStep(
                id, index, step.name, isPointOfNoReturn: step.name == handler.pointOfNoReturn)
            return mayBegin ? .recorded : .refused
        case .run(let index):
            let step = handler.steps[index]
            return try await work { [self] in await attempt(step.name) { .finished(try await step.run(context)) } }
        case .recordEnd(let index):
            try await ledger.endStep(id, handler.steps[index].name, percent: handler.steps[index].percent)
            return .recorded
        case .pause(let duration, let reason):
            if let reason { try await ledger.explain(id, reason) }
            return try await work {
                try? await Task.sleep(for: duration)
                return .pauseEnded
            }
        case .recordUndoing(let failure):
            logger.warning(
                "operation is being undone", metadata: ["error.code": "\(failure?.code ?? "cancelled")"])
            try await ledger.beginUndoing(id, failure)
            return .recorded
        case .recordUndoBeginning(let index):
            try await ledger.recordUndo(id, index, handler.steps[index].name, isDone: false)
            return .recorded
        case .undo(let index):
            let step = handler.steps[index]
            return try await work { [self] in
                await attempt(step.name) {
                    try await step.undo?(context)
                    return .finished(.done)
                }
            }
        case .recordUndoEnd(let index):
            try await ledger.recordUndo(id, index, handler.steps[index].name, isDone: true)
            return .recorded
        case .recordOutcome(let outcome):
            return try await ledger.end(id, outcome) ? .recorded : .refused
        case .stop, .none, .interrupt:
            return nil
        }
    }

    private func attempt(
        _ step: String, _ body: () async throws -> OperationMachine.Event
    ) async -> OperationMachine.Event {
        do {
            return try await body()
        } catch let failure as OperationFailure {
            return .failed(failure)
        } catch {
            if !Task.isCancelled {
                logger.warning("operation step stumbled", metadata: ["step": "\(step)", "error": "\(error)"])
            }
            return .stumbled(reason: "\(step) did not succeed and is tried again")
        }
    }

    /// Runs `body` so that ``signal(_:)`` can cut it off. The task is a bare one because who cancels it is another task.
    private func work(
        _ body: @escaping @Sendable () async -> OperationMachine.Event
    ) async throws -> OperationMachine.Event {
        let task = Task { await body() }
        let isLate = state.withLock { state in
            state.work = task
            return state.machine.isInterrupting
        }
        if isLate { task.cancel() }
        let event = await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
        state.withLock { $0.work = nil }
        try Task.checkCancellation()
        return event
    }
}
