import Coordination
import Testing

/// Lists of events and the actions that come of them: no clock, no database.
@Suite struct OperationMachineTests {
    private typealias Machine = OperationMachine
    private static let failure = OperationFailure("no-room", "there is no room")
    private static let expired = OperationFailure("deadline-exceeded", "its deadline passed before it was done")

    /// Two steps; the second has nothing to take back.
    private func machine(
        _ first: Machine.Record = .none, _ second: Machine.Record = .none, undoing: OperationFailure?? = nil,
        pointOfNoReturn: Int? = nil, isBounded: Bool = false
    ) -> Machine {
        Machine(
            steps: [
                Machine.Step("make", canUndo: true, record: first),
                Machine.Step("tell", canUndo: false, record: second),
            ], undoing: undoing, pointOfNoReturn: pointOfNoReturn, isBounded: isBounded)
    }

    private func expect(
        _ machine: Machine, _ script: [(Machine.Event, Machine.Action)],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var machine = machine
        for (index, (event, action)) in script.enumerated() {
            #expect(machine.on(event) == action, "event \(index): \(event)", sourceLocation: sourceLocation)
        }
    }

    @Test func `each step is recorded before and after, then the outcome`() {
        expect(
            machine(),
            [
                (.begin, .recordBeginning(0)), (.recorded, .run(0)), (.finished(.done), .recordEnd(0)),
                (.recorded, .recordBeginning(1)), (.recorded, .run(1)), (.finished(.done), .recordEnd(1)),
                (.recorded, .recordOutcome(.succeeded)), (.recorded, .stop),
            ])
    }

    @Test func `what was cut off goes on with the step that was not recorded as done`() {
        expect(machine(.begun), [(.begin, .recordBeginning(0)), (.recorded, .run(0))])
        expect(machine(.ended), [(.begin, .recordBeginning(1))])
        expect(machine(.ended, .begun), [(.begin, .recordBeginning(1))])
        expect(machine(.ended, .ended), [(.begin, .recordOutcome(.succeeded))])
    }

    @Test func `a step that waits runs again after its pause`() {
        let waiting = OperationStep.Outcome.waiting(reason: "it boots", after: .seconds(1))
        expect(
            machine(),
            [
                (.begin, .recordBeginning(0)), (.recorded, .run(0)),
                (.finished(waiting), .pause(.seconds(1), reason: "it boots")), (.pauseEnded, .recordBeginning(0)),
                (.recorded, .run(0)), (.finished(.done), .recordEnd(0)),
            ])
    }

    @Test func `a step that stumbles is tried again after pauses that grow up to a limit`() {
        var machine = machine()
        _ = machine.on(.begin)
        var pauses: [Duration] = []
        for _ in 0..<9 {
            #expect(machine.on(.recorded) == .run(0))
            guard case .pause(let pause, "again") = machine.on(.stumbled(reason: "again")) else {
                Issue.record("no pause")
                return
            }
            pauses.append(pause)
            #expect(machine.on(.pauseEnded) == .recordBeginning(0))
        }
        #expect(pauses.first == Machine.firstPause)
        #expect(pauses.last == Machine.longestPause)
        #expect(zip(pauses, pauses.dropFirst()).allSatisfy { $0 < $1 || $1 == Machine.longestPause })
    }

    @Test func `a failure takes back what was begun, last step first, and skips what cannot be taken back`() {
        expect(
            machine(.ended),
            [
                (.begin, .recordBeginning(1)), (.recorded, .run(1)),
                (.failed(Self.failure), .recordUndoing(Self.failure)), (.recorded, .recordUndoBeginning(0)),
                (.recorded, .undo(0)), (.finished(.done), .recordUndoEnd(0)),
                (.recorded, .recordOutcome(.failed(Self.failure))), (.recorded, .stop),
            ])
    }

    @Test func `the step that failed half-way is taken back too`() {
        expect(
            machine(),
            [
                (.begin, .recordBeginning(0)), (.recorded, .run(0)),
                (.failed(Self.failure), .recordUndoing(Self.failure)), (.recorded, .recordUndoBeginning(0)),
            ])
    }

    @Test(arguments: [OperationFailure?.none, failure])
    func `undoing that was cut off goes on, for the same reason`(_ reason: OperationFailure?) {
        let outcome = reason.map(Machine.Outcome.failed) ?? .cancelled
        expect(
            machine(.ended, undoing: .some(reason)),
            [
                (.begin, .recordUndoBeginning(0)), (.recorded, .undo(0)), (.finished(.done), .recordUndoEnd(0)),
                (.recorded, .recordOutcome(outcome)),
            ])
        expect(machine(.undone, undoing: .some(reason)), [(.begin, .recordOutcome(outcome))])
    }

    @Test func `an undo that stumbles or fails is tried again until it is done`() {
        expect(
            machine(.begun, undoing: .some(nil)),
            [
                (.begin, .recordUndoBeginning(0)), (.recorded, .undo(0)),
                (.stumbled(reason: "busy"), .pause(Machine.firstPause, reason: "busy")),
                (.pauseEnded, .recordUndoBeginning(0)), (.recorded, .undo(0)),
                (.failed(Self.failure), .pause(Machine.firstPause * 2, reason: Self.failure.message)),
                (.pauseEnded, .recordUndoBeginning(0)), (.recorded, .undo(0)), (.finished(.done), .recordUndoEnd(0)),
                (.recorded, .recordOutcome(.cancelled)),
            ])
    }

    @Test func `a cancellation interrupts what runs, and undoes it`() {
        for end: Machine.Event in [.finished(.done), .stumbled(reason: "cut off"), .failed(Self.failure)] {
            expect(
                machine(),
                [
                    (.begin, .recordBeginning(0)), (.recorded, .run(0)), (.cancelled, .interrupt), (.cancelled, .none),
                    (end, .recordUndoing(nil)), (.recorded, .recordUndoBeginning(0)), (.recorded, .undo(0)),
                    (.finished(.done), .recordUndoEnd(0)), (.recorded, .recordOutcome(.cancelled)),
                ])
        }
    }

    @Test func `a cancellation interrupts a pause`() {
        let waiting = OperationStep.Outcome.waiting(reason: "it boots", after: .seconds(60))
        expect(
            machine(),
            [
                (.begin, .recordBeginning(0)), (.recorded, .run(0)),
                (.finished(waiting), .pause(.seconds(60), reason: "it boots")), (.cancelled, .interrupt),
                (.pauseEnded, .recordUndoing(nil)),
            ])
    }

    @Test func `a cancellation between two records takes effect after the record`() {
        expect(machine(), [(.begin, .recordBeginning(0)), (.cancelled, .none), (.recorded, .recordUndoing(nil))])
        expect(
            machine(),
            [
                (.begin, .recordBeginning(0)), (.recorded, .run(0)), (.finished(.done), .recordEnd(0)),
                (.cancelled, .none), (.recorded, .recordUndoing(nil)),
            ])
    }

    @Test func `a record refused because of a cancellation undoes`() {
        expect(machine(.ended), [(.begin, .recordBeginning(1)), (.refused, .recordUndoing(nil))])
        expect(
            machine(.ended, .ended),
            [
                (.begin, .recordOutcome(.succeeded)), (.refused, .recordUndoing(nil)),
                (.recorded, .recordUndoBeginning(0)),
            ])
    }

    @Test func `past its deadline an operation is undone and says what it waited for`() {
        expect(
            machine(),
            [
                (.begin, .recordBeginning(0)), (.recorded, .run(0)), (.expired, .interrupt),
                (.stumbled(reason: "cut off"), .recordUndoing(Self.expired)),
            ])
        let named = OperationFailure(
            Self.expired.code, Self.expired.message + ": it boots")
        expect(
            machine(),
            [
                (.begin, .recordBeginning(0)), (.recorded, .run(0)),
                (
                    .finished(.waiting(reason: "it boots", after: .seconds(9))),
                    .pause(.seconds(9), reason: "it boots")
                ),
                (.expired, .interrupt), (.pauseEnded, .recordUndoing(named)),
            ])
    }

    @Test func `from the point of no return neither a cancellation nor the deadline ends it`() {
        for event: Machine.Event in [.cancelled, .expired] {
            expect(
                machine(pointOfNoReturn: 0),
                [
                    (.begin, .recordBeginning(0)), (.recorded, .run(0)), (event, .none),
                    (.stumbled(reason: "busy"), .pause(Machine.firstPause, reason: "busy")), (event, .none),
                    (.pauseEnded, .recordBeginning(0)), (.recorded, .run(0)), (.finished(.done), .recordEnd(0)),
                    (.recorded, .recordBeginning(1)),
                ])
        }
        // While its beginning is being recorded, what is asked for comes too late once it is recorded.
        expect(
            machine(pointOfNoReturn: 0),
            [
                (.begin, .recordBeginning(0)), (.expired, .none), (.recorded, .run(0)),
                (.stumbled(reason: "busy"), .pause(Machine.firstPause, reason: "busy")),
                (.pauseEnded, .recordBeginning(0)), (.recorded, .run(0)), (.finished(.done), .recordEnd(0)),
                (.recorded, .recordBeginning(1)),
            ])
        // Before it, they do.
        expect(
            machine(pointOfNoReturn: 1),
            [(.begin, .recordBeginning(0)), (.recorded, .run(0)), (.cancelled, .interrupt)])
    }

    @Test func `once the step of no return is done, a failure leaves what was done`() {
        expect(
            machine(pointOfNoReturn: 0),
            [
                (.begin, .recordBeginning(0)), (.recorded, .run(0)), (.finished(.done), .recordEnd(0)),
                (.recorded, .recordBeginning(1)), (.recorded, .run(1)),
                (.failed(Self.failure), .recordOutcome(.failed(Self.failure))), (.recorded, .stop),
            ])
        // Its own failure takes back what was before.
        expect(
            machine(.ended, pointOfNoReturn: 1),
            [
                (.begin, .recordBeginning(1)), (.recorded, .run(1)),
                (.failed(Self.failure), .recordUndoing(Self.failure)), (.recorded, .recordUndoBeginning(0)),
            ])
    }

    @Test func `what is bounded ends at its deadline with the first step that is not done at once`() {
        func expired(_ reason: String) -> OperationFailure {
            OperationFailure(Self.expired.code, Self.expired.message + ": " + reason)
        }
        let waiting = OperationStep.Outcome.waiting(reason: "it boots", after: .seconds(9))
        let begin: [(Machine.Event, Machine.Action)] = [
            (.begin, .recordBeginning(1)), (.recorded, .run(1)), (.expired, .none), (.cancelled, .none),
        ]
        let bounded = machine(.ended, pointOfNoReturn: 0, isBounded: true)
        expect(bounded, begin + [(.finished(.done), .recordEnd(1)), (.recorded, .recordOutcome(.succeeded))])
        expect(bounded, begin + [(.stumbled(reason: "busy"), .recordOutcome(.failed(expired("busy"))))])
        expect(bounded, begin + [(.finished(waiting), .recordOutcome(.failed(expired("it boots"))))])
        expect(
            bounded,
            [
                (.begin, .recordBeginning(1)), (.recorded, .run(1)),
                (.stumbled(reason: "busy"), .pause(Machine.firstPause, reason: "busy")), (.expired, .interrupt),
                (.pauseEnded, .recordOutcome(.failed(expired("busy")))), (.recorded, .stop),
            ])
        // As long as the step of no return is not done, what was before it is taken back.
        expect(
            machine(.ended, .begun, pointOfNoReturn: 1, isBounded: true),
            begin + [
                (.stumbled(reason: "busy"), .recordUndoing(expired("busy"))), (.recorded, .recordUndoBeginning(0)),
            ]
        )
    }

    @Test func `what has been undone or has ended is not stopped again`() {
        expect(
            machine(.begun, undoing: .some(Self.failure)),
            [
                (.begin, .recordUndoBeginning(0)), (.cancelled, .none), (.expired, .none), (.recorded, .undo(0)),
                (.cancelled, .none), (.finished(.done), .recordUndoEnd(0)),
                (.recorded, .recordOutcome(.failed(Self.failure))), (.cancelled, .none), (.recorded, .stop),
                (.expired, .none),
            ])
    }
}
