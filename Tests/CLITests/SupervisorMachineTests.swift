import OperatorCommands
import Testing

struct SupervisorMachineTests {
    private typealias Machine = SupervisorMachine

    private func machine() -> Machine {
        Machine(children: [
            ("control", .cluster), ("cell-1", .cluster), ("controller", .controller), ("gateway-1", .worker),
            ("gateway-2", .worker),
        ])
    }

    private func serving() -> Machine {
        var machine = machine()
        _ = machine.handle(.begin, at: 0)
        _ = machine.handle(.clusterReady("control"), at: 100)
        _ = machine.handle(.clusterReady("cell-1"), at: 110)
        _ = machine.handle(.servicesReady, at: 300)
        return machine
    }

    @Test func `services start when every cluster is ready`() {
        var machine = machine()
        #expect(machine.handle(.begin, at: 0) == [.spawn("control"), .spawn("cell-1")])
        #expect(machine.handle(.clusterReady("cell-1"), at: 90).isEmpty)
        #expect(
            machine.handle(.clusterReady("control"), at: 100) == [
                .announce(.startingServices), .spawn("controller"), .spawn("gateway-1"), .spawn("gateway-2"),
            ])
        #expect(machine.handle(.servicesReady, at: 200) == [.announce(.serving)])
        #expect(machine.handle(.servicesReady, at: 201).isEmpty)
        #expect(machine.phase == .serving)
    }

    @Test(arguments: ["gateway-1", "controller", "cell-1"])
    func `what dies is started again at once`(name: String) {
        var machine = serving()
        #expect(machine.handle(.exited(name), at: 60_000) == [.spawn(name)])
        #expect(machine.phase == .serving)
    }

    @Test func `what dies at once again and again waits longer each time, at most five seconds`() {
        var machine = serving()
        #expect(machine.handle(.exited("gateway-1"), at: 10_000) == [.spawn("gateway-1")])
        #expect(machine.handle(.exited("gateway-1"), at: 10_050) == [.spawn("gateway-1")])
        var now: Int64 = 10_100
        var pauses: [Int64] = []
        for _ in 0..<8 {
            #expect(machine.handle(.exited("gateway-1"), at: now).isEmpty)
            let deadline = machine.deadline ?? -1
            pauses.append(deadline - now)
            #expect(machine.handle(.tick, at: deadline - 1).isEmpty)
            #expect(machine.handle(.tick, at: deadline) == [.spawn("gateway-1")])
            now = deadline + 50
        }
        #expect(pauses == [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
        // Having lived long enough, it is trusted again.
        #expect(machine.handle(.exited("gateway-1"), at: now + 60_000) == [.spawn("gateway-1")])
    }

    @Test func `a service that cannot start is given up, and everything stops`() {
        var machine = machine()
        _ = machine.handle(.begin, at: 0)
        _ = machine.handle(.clusterReady("control"), at: 100)
        _ = machine.handle(.clusterReady("cell-1"), at: 100)
        var now: Int64 = 200
        var last: [Machine.Action] = []
        for _ in 0..<Machine.triesOfServices {
            last = machine.handle(.exited("gateway-2"), at: now)
            if let deadline = machine.deadline {
                now = deadline
                _ = machine.handle(.tick, at: now)
            }
            now += 10
        }
        #expect(last == [.giveUp("gateway-2"), .announce(.drainingWorkers), .signal("gateway-1", .stop)])
        #expect(machine.failed == "gateway-2")
    }

    @Test func `once it has served, nothing is given up`() {
        var machine = serving()
        var now: Int64 = 1_000
        for _ in 0..<50 {
            let actions = machine.handle(.exited("gateway-1"), at: now)
            #expect(!actions.contains(.giveUp("gateway-1")))
            if let deadline = machine.deadline { now = deadline }
            _ = machine.handle(.tick, at: now)
            now += 10
        }
        #expect(machine.phase == .serving)
    }

    @Test func `stopping drains the workers, then the controller, then Postgres`() {
        var machine = serving()
        #expect(
            machine.handle(.stopRequested, at: 9_000) == [
                .announce(.drainingWorkers), .signal("gateway-1", .stop), .signal("gateway-2", .stop),
            ])
        #expect(machine.handle(.exited("gateway-2"), at: 9_100).isEmpty)
        #expect(
            machine.handle(.exited("gateway-1"), at: 9_200) == [
                .announce(.stoppingController), .signal("controller", .stop),
            ])
        #expect(
            machine.handle(.exited("controller"), at: 9_300) == [
                .announce(.stoppingClusters), .signal("control", .stop), .signal("cell-1", .stop),
            ])
        #expect(machine.handle(.exited("cell-1"), at: 9_400).isEmpty)
        #expect(machine.handle(.exited("control"), at: 9_500) == [.announce(.stopped), .finish])
        #expect(machine.deadline == nil)
    }

    @Test func `what does not stop in time is killed`() {
        var machine = serving()
        _ = machine.handle(.stopRequested, at: 0)
        #expect(machine.deadline == Machine.workerDrain)
        #expect(
            machine.handle(.tick, at: Machine.workerDrain) == [
                .signal("gateway-1", .kill), .signal("gateway-2", .kill),
            ])
    }

    @Test func `asked twice, it hurries`() {
        var machine = serving()
        _ = machine.handle(.stopRequested, at: 0)
        #expect(
            machine.handle(.stopRequested, at: 10) == [.signal("gateway-1", .kill), .signal("gateway-2", .kill)])
    }

    @Test func `a child that waits for its restart is not started when stopping`() {
        var machine = serving()
        _ = machine.handle(.exited("gateway-1"), at: 310)
        _ = machine.handle(.exited("gateway-1"), at: 320)
        #expect(machine.deadline != nil)
        #expect(
            machine.handle(.stopRequested, at: 330) == [.announce(.drainingWorkers), .signal("gateway-2", .stop)])
        #expect(machine.handle(.tick, at: 60_000) == [.signal("gateway-2", .kill)])
    }

    @Test func `a service that dies by itself while stopping is not started again`() {
        var machine = serving()
        _ = machine.handle(.stopRequested, at: 1_000)
        #expect(machine.handle(.exited("controller"), at: 1_010).isEmpty)
        _ = machine.handle(.exited("gateway-1"), at: 1_020)
        #expect(
            machine.handle(.exited("gateway-2"), at: 1_030) == [
                .announce(.stoppingController), .announce(.stoppingClusters), .signal("control", .stop),
                .signal("cell-1", .stop),
            ])
    }

    @Test func `stopping before anything was started ends at once`() {
        var machine = machine()
        let actions = machine.handle(.stopRequested, at: 0)
        #expect(actions.last == .finish)
        #expect(machine.phase == .stopped)
    }

    /// With a hypervisor beside the clusters.
    private func withCompute() -> Machine {
        Machine(children: [
            ("control", .cluster), ("hypervisor", .hypervisor), ("controller", .controller), ("gateway-1", .worker),
        ])
    }

    @Test func `nobody waits for the hypervisor`() {
        var machine = withCompute()
        #expect(machine.handle(.begin, at: 0) == [.spawn("control"), .spawn("hypervisor")])
        #expect(
            machine.handle(.clusterReady("control"), at: 100) == [
                .announce(.startingServices), .spawn("controller"), .spawn("gateway-1"),
            ])
    }

    @Test func `a hypervisor that keeps dying never stops the region`() {
        var machine = withCompute()
        _ = machine.handle(.begin, at: 0)
        var now: Int64 = 0
        for _ in 0..<50 {
            now += 10
            for action in machine.handle(.exited("hypervisor"), at: now) + machine.handle(.tick, at: now + 5_000) {
                #expect(action == .spawn("hypervisor"))
            }
            now += 5_000
        }
        #expect(machine.failed == nil)
        #expect(machine.phase == .startingClusters)
        _ = machine.handle(.clusterReady("control"), at: now)
        #expect(machine.handle(.servicesReady, at: now) == [.announce(.serving)])
    }

    @Test func `guests stop after the controller, and the region waits for them`() {
        var machine = withCompute()
        _ = machine.handle(.begin, at: 0)
        _ = machine.handle(.clusterReady("control"), at: 100)
        _ = machine.handle(.servicesReady, at: 200)
        _ = machine.handle(.stopRequested, at: 1_000)
        _ = machine.handle(.exited("gateway-1"), at: 1_100)
        #expect(
            machine.handle(.exited("controller"), at: 1_200) == [
                .announce(.stoppingClusters), .signal("hypervisor", .stop), .signal("control", .stop),
            ])
        #expect(machine.handle(.exited("control"), at: 1_300).isEmpty)
        #expect(machine.handle(.exited("hypervisor"), at: 9_000) == [.announce(.stopped), .finish])
    }
}
