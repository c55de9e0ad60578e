import PostgresDriver
import ResourcePools
import Testing

struct InstanceLifecycleTests {
    struct Case: Sendable {
        let from: InstanceState
        let events: [InstanceLifecycle.Event]
        let actions: [InstanceLifecycle.Action]
        let to: InstanceState
    }

    @Test(arguments: [
        Case(from: .requested, events: [.succeeded(running: true)], actions: [.settle], to: .running),
        Case(from: .requested, events: [.succeeded(running: false)], actions: [.settle], to: .stopped),
        Case(from: .requested, events: [.failed(isIrrevocable: false)], actions: [.remove], to: .requested),
        Case(
            from: .running, events: [.asked(.stop), .succeeded(running: false)], actions: [.begin(.stop), .settle],
            to: .stopped),
        Case(
            from: .running, events: [.asked(.stop), .failed(isIrrevocable: false)], actions: [.begin(.stop), .settle],
            to: .running),
        Case(
            from: .stopped, events: [.asked(.start), .succeeded(running: true)], actions: [.begin(.start), .settle],
            to: .running),
        Case(
            from: .stopped, events: [.asked(.start), .failed(isIrrevocable: false)],
            actions: [.begin(.start), .settle],
            to: .stopped),
        Case(
            from: .running, events: [.asked(.reboot), .succeeded(running: true)], actions: [.begin(.reboot), .settle],
            to: .running),
        Case(
            from: .stopped, events: [.asked(.update), .succeeded(running: false)], actions: [.begin(.update), .settle],
            to: .stopped),
        Case(
            from: .running, events: [.asked(.delete), .succeeded(running: false)], actions: [.begin(.delete), .remove],
            to: .deleting),
        Case(
            from: .running, events: [.asked(.delete), .failed(isIrrevocable: true)],
            actions: [.begin(.delete), .settle],
            to: .failed),
        Case(
            from: .failed, events: [.asked(.delete), .failed(isIrrevocable: false)],
            actions: [.begin(.delete), .settle],
            to: .failed),
        Case(
            from: .running, events: [.asked(.delete), .failed(isIrrevocable: false), .asked(.stop)],
            actions: [.begin(.delete), .settle, .begin(.stop)], to: .stopping),
        Case(from: .running, events: [.observed(running: false)], actions: [.none], to: .stopped),
        Case(from: .stopped, events: [.observed(running: true)], actions: [.none], to: .running),
        Case(from: .updating, events: [.observed(running: false)], actions: [.none], to: .updating),
        Case(
            from: .running, events: [.observed(running: false), .gaveUp, .asked(.start)],
            actions: [.none, .none, .begin(.start)], to: .starting),
    ])
    func `events lead to actions`(_ example: Case) throws {
        var lifecycle = InstanceLifecycle(state: example.from)
        var actions: [InstanceLifecycle.Action] = []
        for event in example.events { actions.append(try lifecycle.on(event)) }
        #expect(actions == example.actions)
        #expect(lifecycle.state == example.to)
    }

    @Test func `a request that does not fit says from where, to where, and what is allowed`() throws {
        var lifecycle = InstanceLifecycle(state: .stopped)
        let error = #expect(throws: IllegalTransition.self) { _ = try lifecycle.on(.asked(.reboot)) }
        #expect(error?.from == .stopped)
        #expect(error?.to == .rebooting)
        #expect(error?.allowed == [.starting, .updating, .deleting])
        #expect(lifecycle.state == .stopped)
    }

    @Test func `the database makes the same transitions`() async throws {
        try await PoolFixture.run { fixture in
            for state in InstanceState.allCases {
                for request in InstanceChangeRequest.allCases {
                    let row = try await fixture.pool.query(
                        PostgresStatement("select control.instance_transition($1, $2)"),
                        [.text(state.rawValue), .text(request.rawValue)])[0]
                    var lifecycle = InstanceLifecycle(state: state)
                    let isAllowed = (try? lifecycle.on(.asked(request))) != nil
                    let next = try row.optionalString(0)
                    #expect(next == (isAllowed ? lifecycle.state.rawValue : nil), "\(state) \(request)")
                }
            }
        }
    }
}
