/// Decides how one operation goes on: an event goes in, an action comes out, nothing is done inside.
///
/// Forward: each step is recorded, run, and recorded again. A step that stumbles is tried again after a growing pause.
/// Backward, after a failure, a cancellation or the deadline: the steps that were begun are taken back, last one first. Once the
/// step of no return is done, nothing is taken back any more: what was done stays when a later one fails.
package struct OperationMachine: Sendable, Hashable {
    /// What the machine knows of a step.
    package struct Step: Sendable, Hashable {
        package let name: String
        package let canUndo: Bool
        /// What the ledger has of it.
        package var record: Record

        package init(_ name: String, canUndo: Bool, record: Record = .none) {
            self.name = name
            self.canUndo = canUndo
            self.record = record
        }
    }

    package enum Record: Sendable, Hashable {
        case none
        case begun
        case ended
        /// Taken back.
        case undone
    }

    package enum Event: Sendable, Hashable {
        /// The operation is taken up, for the first time or after an interruption.
        case begin
        /// The record that was asked for is committed.
        case recorded
        /// The record that was asked for was refused, because somebody has cancelled the operation.
        case refused
        case finished(OperationStep.Outcome)
        /// Trying again is of no use.
        case failed(OperationFailure)
        /// Trying again may help. `reason` is shown.
        case stumbled(reason: String)
        case pauseEnded
        /// Somebody asks for the operation's end.
        case cancelled
        /// The deadline has passed.
        case expired
    }

    package enum Action: Sendable, Hashable {
        case recordBeginning(Int)
        case run(Int)
        case recordEnd(Int)
        /// Wait, then report `pauseEnded`. The reason is recorded when there is one.
        case pause(Duration, reason: String?)
        /// Cancel what runs or waits now; it reports as always.
        case interrupt
        /// Nil is a cancellation.
        case recordUndoing(OperationFailure?)
        case recordUndoBeginning(Int)
        case undo(Int)
        case recordUndoEnd(Int)
        case recordOutcome(Outcome)
        /// Nothing more to do.
        case stop
        /// Go on with what is being done.
        case none
    }

    package enum Outcome: Sendable, Hashable {
        case succeeded
        case failed(OperationFailure)
        case cancelled
    }

    private enum State: Sendable, Hashable {
        case idle
        case recordingBeginning(Int)
        case running(Int)
        case recordingEnd(Int)
        case pausing(Int)
        case recordingUndoing
        case recordingUndoBeginning(Int)
        case undoing(Int)
        case recordingUndoEnd(Int)
        case pausingUndo(Int)
        case recordingOutcome(Outcome)
        case ended
    }

    /// Why it goes backward; nil failure is a cancellation.
    private struct Reversal: Sendable, Hashable {
        let failure: OperationFailure?
    }

    /// The first pause after a stumble; each further one is twice as long.
    package static let firstPause: Duration = .milliseconds(200)
    package static let longestPause: Duration = .seconds(10)

    private var steps: [Step]
    private let pointOfNoReturn: Int?
    private let isBounded: Bool
    private var state = State.idle
    private var reversal: Reversal?
    /// Set when a stop was asked for while a step ran or waited.
    private var wantsReversal: Reversal?
    private var hasExpired = false
    /// Stumbles in a row.
    private var stumbles = 0
    private var lastReason: String?

    /// - Parameters:
    ///   - steps: in order, with what the ledger has of each.
    ///   - undoing: when an earlier leader had begun to undo it: why; a nil failure is a cancellation.
    ///   - pointOfNoReturn: the index of the step from which it only goes forward.
    ///   - isBounded: whether its deadline ends it from there on too, at the first step that is not done at once.
    package init(
        steps: [Step], undoing: OperationFailure?? = nil, pointOfNoReturn: Int? = nil, isBounded: Bool = false
    ) {
        self.steps = steps
        self.pointOfNoReturn = pointOfNoReturn
        self.isBounded = isBounded
        if let undoing { reversal = Reversal(failure: undoing) }
    }

    /// Whether what runs or waits now is to be cancelled.
    package var isInterrupting: Bool {
        switch state {
        case .running: return wantsReversal != nil
        case .pausing: return wantsReversal != nil || mustEnd
        case .idle, .recordingBeginning, .recordingEnd, .recordingUndoing, .recordingUndoBeginning, .undoing,
            .recordingUndoEnd, .pausingUndo, .recordingOutcome, .ended:
            return false
        }
    }

    package mutating func on(_ event: Event) -> Action {
        switch event {
        case .begin: return reversal == nil ? forward() : backward()
        case .recorded: return recorded()
        case .refused: return reverse(Reversal(failure: nil))
        case .finished(let outcome): return finished(outcome)
        case .failed(let failure): return failed(failure)
        case .stumbled(let reason): return stumbled(reason)
        case .pauseEnded: return pauseEnded()
        case .cancelled: return stopAsked(Reversal(failure: nil))
        case .expired:
            hasExpired = true
            return mustEnd ? expiryAsked() : stopAsked(Reversal(failure: expiry))
        }
    }

    private var expiry: OperationFailure {
        let last = lastReason.map { ": " + $0 } ?? ""
        return OperationFailure("deadline-exceeded", "its deadline passed before it was done" + last)
    }

    // MARK: Forward

    /// Whether nobody can cancel it any more.
    package var isIrrevocable: Bool {
        pointOfNoReturn.map { steps[$0].record != .none } ?? false
    }

    /// Whether the step of no return is done, so that nothing can be taken back.
    private var isBeyondReturn: Bool {
        pointOfNoReturn.map { steps[$0].record == .ended } ?? false
    }

    /// Whether a step that is not done at once is the last that is tried.
    private var mustEnd: Bool { hasExpired && isBounded && isIrrevocable && reversal == nil }

    private mutating func forward() -> Action {
        if let wanted = wantsReversal, !isIrrevocable { return reverse(wanted) }
        guard let next = steps.firstIndex(where: { $0.record != .ended }) else {
            state = .recordingOutcome(.succeeded)
            return .recordOutcome(.succeeded)
        }
        state = .recordingBeginning(next)
        return .recordBeginning(next)
    }

    private mutating func recorded() -> Action {
        switch state {
        case .recordingBeginning(let index):
            if steps[index].record == .none { steps[index].record = .begun }
            // A stop that was asked for meanwhile came too late when this is the point of no return.
            if isIrrevocable { wantsReversal = nil }
            if let wanted = wantsReversal { return reverse(wanted) }
            state = .running(index)
            return .run(index)
        case .recordingEnd(let index):
            steps[index].record = .ended
            stumbles = 0
            lastReason = nil
            return forward()
        case .recordingUndoing:
            return backward()
        case .recordingUndoBeginning(let index):
            state = .undoing(index)
            return .undo(index)
        case .recordingUndoEnd(let index):
            steps[index].record = .undone
            stumbles = 0
            return backward()
        case .recordingOutcome:
            state = .ended
            return .stop
        case .idle, .running, .pausing, .undoing, .pausingUndo, .ended:
            return .none
        }
    }

    private mutating func finished(_ outcome: OperationStep.Outcome) -> Action {
        switch state {
        case .running(let index):
            if let wanted = wantsReversal { return reverse(wanted) }
            switch outcome {
            case .done:
                state = .recordingEnd(index)
                return .recordEnd(index)
            case .waiting(let reason, let pause):
                stumbles = 0
                lastReason = reason
                if mustEnd { return end(expiry) }
                state = .pausing(index)
                return .pause(pause, reason: reason)
            }
        case .undoing(let index):
            state = .recordingUndoEnd(index)
            return .recordUndoEnd(index)
        case .idle, .recordingBeginning, .recordingEnd, .pausing, .recordingUndoing, .recordingUndoBeginning,
            .recordingUndoEnd, .pausingUndo, .recordingOutcome, .ended:
            return .none
        }
    }

    private mutating func failed(_ failure: OperationFailure) -> Action {
        switch state {
        case .running:
            if let wanted = wantsReversal { return reverse(wanted) }
            return end(failure)
        case .undoing: return stumbled(failure.message)
        case .idle, .recordingBeginning, .recordingEnd, .pausing, .recordingUndoing, .recordingUndoBeginning,
            .recordingUndoEnd, .pausingUndo, .recordingOutcome, .ended:
            return .none
        }
    }

    private mutating func stumbled(_ reason: String) -> Action {
        let pause = min(Self.firstPause * (1 << min(stumbles, 10)), Self.longestPause)
        switch state {
        case .running(let index):
            if let wanted = wantsReversal { return reverse(wanted) }
            stumbles += 1
            lastReason = reason
            if mustEnd { return end(expiry) }
            state = .pausing(index)
            return .pause(pause, reason: reason)
        case .undoing(let index):
            stumbles += 1
            state = .pausingUndo(index)
            return .pause(pause, reason: reason)
        case .idle, .recordingBeginning, .recordingEnd, .pausing, .recordingUndoing, .recordingUndoBeginning,
            .recordingUndoEnd, .pausingUndo, .recordingOutcome, .ended:
            return .none
        }
    }

    private mutating func pauseEnded() -> Action {
        switch state {
        case .pausing(let index):
            if let wanted = wantsReversal { return reverse(wanted) }
            if mustEnd { return end(expiry) }
            state = .recordingBeginning(index)
            return .recordBeginning(index)
        case .pausingUndo(let index):
            state = .recordingUndoBeginning(index)
            return .recordUndoBeginning(index)
        case .idle, .recordingBeginning, .running, .recordingEnd, .recordingUndoing, .recordingUndoBeginning, .undoing,
            .recordingUndoEnd, .recordingOutcome, .ended:
            return .none
        }
    }

    // MARK: Backward

    /// Somebody or the clock wants it to end. What has gone too far goes on; what is being undone is undone already.
    private mutating func stopAsked(_ wanted: Reversal) -> Action {
        guard reversal == nil, wantsReversal == nil, !isIrrevocable else { return .none }
        switch state {
        case .running, .pausing:
            wantsReversal = wanted
            return .interrupt
        case .idle, .recordingBeginning, .recordingEnd:
            wantsReversal = wanted
            return .none
        case .recordingUndoing, .recordingUndoBeginning, .undoing, .recordingUndoEnd, .pausingUndo, .recordingOutcome,
            .ended:
            return .none
        }
    }

    /// The deadline of what has gone too far: a pause is cut short, and what runs may still end well.
    private func expiryAsked() -> Action {
        switch state {
        case .pausing: return .interrupt
        case .idle, .recordingBeginning, .running, .recordingEnd, .recordingUndoing, .recordingUndoBeginning, .undoing,
            .recordingUndoEnd, .pausingUndo, .recordingOutcome, .ended:
            return .none
        }
    }

    /// A step has failed: what was begun is taken back as long as it can be.
    private mutating func end(_ failure: OperationFailure) -> Action {
        guard isBeyondReturn else { return reverse(Reversal(failure: failure)) }
        state = .recordingOutcome(.failed(failure))
        return .recordOutcome(.failed(failure))
    }

    private mutating func reverse(_ reversal: Reversal) -> Action {
        self.reversal = reversal
        wantsReversal = nil
        stumbles = 0
        state = .recordingUndoing
        return .recordUndoing(reversal.failure)
    }

    private mutating func backward() -> Action {
        let next = steps.lastIndex { step in step.canUndo && (step.record == .begun || step.record == .ended) }
        guard let next else {
            let outcome = reversal?.failure.map(Outcome.failed) ?? .cancelled
            state = .recordingOutcome(outcome)
            return .recordOutcome(outcome)
        }
        state = .recordingUndoBeginning(next)
        return .recordUndoBeginning(next)
    }
}
