import CloudModel
import Coordination
import PostgresDriver
import ResourcePools
import TestSupport
import Testing
import Virtualization

/// Operations that are cancelled, fail or are late once the machine has noticed.
struct InstanceReversalTests {
    private static let failure = VirtualizationError(.failed, "QEMU does not start")

    /// As if the operation under way had asked the guest to power off so long ago that it has had its time.
    private func endGrace(_ fixture: PoolFixture) async throws {
        try await fixture.pool.query(
            PostgresStatement(
                """
                update control.instance set started_at = started_at - interval '1 hour',
                    shutdown_asked_at = shutdown_asked_at - interval '30 seconds'
                """))
    }

    /// Gives the operation, which has not begun, this long.
    private func limit(_ fixture: PoolFixture, _ operation: String, to seconds: Double) async throws {
        try await fixture.pool.query(
            PostgresStatement(
                "update control.operation set deadline = clock_timestamp() + make_interval(secs => $2) where id = $1"),
            [.uuid(operation), .float8(seconds)])
    }

    private func lookOnce(_ fixture: PoolFixture, _ leader: LeaderContext) async throws {
        _ = try await InstanceReconciler(driver: fixture.driver, turns: fixture.turns, logger: .quiet)
            .pass(leader: leader)
    }

    // MARK: Powering off

    @Test func `a guest has its whole time to power off, however long the stop has waited`() async throws {
        try await PoolFixture.run { fixture in
            let made = try await fixture.withEngine { _ in try await fixture.makeInstance() }
            fixture.driver.listensToPower = false
            let stop = try await fixture.ask(.change(.stop, name: "one"))
            try await fixture.pool.query(
                PostgresStatement("update control.instance set changed_at = changed_at - interval '1 hour'"))
            try await fixture.withEngine { _ in
                try await fixture.until("the guest is asked") {
                    let status = try await fixture.status(stop)
                    return status.phase.isEnd || status.message == "the guest is asked to power off" ? true : nil
                }
                #expect(try await fixture.driver.state(of: made.resource) == .running)
                try await endGrace(fixture)
                #expect(try await fixture.ended(stop).phase == .succeeded)
                #expect(try await fixture.driver.state(of: made.resource) == .shutOff)
            }
        }
    }

    @Test(arguments: [
        PoolDatabase.Request.change(.stop, name: "one"), .change(.reboot, name: "one"),
        .update(PoolFixture.instance("one", memory: 256 << 20)),
    ])
    func `a machine that goes off after its operation was cancelled is started again`(_ request: PoolDatabase.Request)
        async throws
    {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in
                let made = try await fixture.makeInstance()
                fixture.driver.listensToPower = false
                let operation = try await fixture.ask(request)
                try await fixture.reaches(operation, step: "wait-until-off")
                try await fixture.cancel(operation)
                try await fixture.until("taken back") {
                    let phase = try await fixture.status(operation).phase
                    return phase != .running ? true : nil
                }
                // The guest does what it was asked for.
                fixture.driver.crash(made.resource)
                #expect(try await fixture.ended(operation).phase == .cancelled)
                #expect(try await fixture.driver.state(of: made.resource) == .running)
                #expect(fixture.driver.starts == 2)
                #expect(try await fixture.instance("one")?.observed == "running")
            }
        }
    }

    @Test func `a guest that does not listen is off and on again once its time is over`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in
                let made = try await fixture.makeInstance()
                fixture.driver.listensToPower = false
                let stop = try await fixture.ask(.change(.stop, name: "one"))
                try await fixture.reaches(stop, step: "wait-until-off")
                try await fixture.cancel(stop)
                try await fixture.until("taken back") {
                    let phase = try await fixture.status(stop).phase
                    return phase != .running ? true : nil
                }
                try await endGrace(fixture)
                #expect(try await fixture.ended(stop).phase == .cancelled)
                #expect(try await fixture.driver.state(of: made.resource) == .running)
                #expect(fixture.driver.starts == 2)
            }
        }
    }

    @Test func `a machine that has started again is left alone when its reboot is cancelled`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in
                let made = try await fixture.makeInstance()
                fixture.driver.isServing = false
                let reboot = try await fixture.ask(.change(.reboot, name: "one"))
                try await fixture.reaches(reboot, step: "wait-until-ready")
                try await fixture.cancel(reboot)
                #expect(try await fixture.ended(reboot).phase == .cancelled)
                #expect(try await fixture.driver.state(of: made.resource) == .running)
                #expect(fixture.driver.starts == 2)
            }
        }
    }

    // MARK: What cannot be done

    @Test func `a reboot of a machine that does not start any more ends, and the machine can be deleted`() async throws
    {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in _ = try await fixture.makeInstance() }
            fixture.driver.fail(.start, with: Array(repeating: Self.failure, count: 1000))
            let reboot = try await fixture.ask(.change(.reboot, name: "one"))
            try await limit(fixture, reboot, to: 2)
            try await fixture.withEngine { leader in
                let end = try await fixture.ended(reboot)
                #expect(end.error?.code == "deadline-exceeded")
                try await lookOnce(fixture, leader)
                #expect(try await fixture.instance("one")?.state == .stopped)
                #expect(try await fixture.gateway.drifts(acting: nil).map(\.kind) == ["stopped"])
                let deletion = try await fixture.ask(.change(.delete, name: "one"))
                #expect(try await fixture.ended(deletion).phase == .succeeded)
            }
        }
    }

    @Test func `a change that the host cannot carry ends at its deadline, and is what was asked for`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in _ = try await fixture.makeInstance() }
            fixture.driver.fail(.start, with: Array(repeating: Self.failure, count: 1000))
            let update = try await fixture.ask(.update(PoolFixture.instance("one", memory: 256 << 20)))
            try await limit(fixture, update, to: 5)
            try await fixture.withEngine { _ in
                let end = try await fixture.ended(update)
                #expect(end.phase == .failed)
                #expect(end.error?.code == "deadline-exceeded")
                let shown = try #require(try await fixture.instance("one"))
                #expect(shown.state == .stopped)
                #expect(!shown.isReady)
                #expect(shown.reason == end.error?.message)
                #expect(try await fixture.used()["memory"] == 256 << 20)
                #expect(try await fixture.differences() == [])
                let deletion = try await fixture.ask(.change(.delete, name: "one"))
                #expect(try await fixture.ended(deletion).phase == .succeeded)
                #expect(try await fixture.used().filter { $0.value != 0 } == ["networks": 1])
            }
        }
    }

    @Test func `a deletion that cannot go on ends at its deadline, and can be asked for again`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in _ = try await fixture.makeInstance() }
            let inUse = VirtualizationError(.inUse, "somebody uses it")
            fixture.driver.fail(.removeVolumes, with: Array(repeating: inUse, count: 1000))
            let deletion = try await fixture.ask(.change(.delete, name: "one"))
            try await limit(fixture, deletion, to: 3)
            try await fixture.withEngine { _ in
                #expect(try await fixture.ended(deletion).error?.code == "deadline-exceeded")
                #expect(try await fixture.instance("one")?.state == .failed)
                fixture.driver.forgive(.removeVolumes)
                let again = try await fixture.ask(.change(.delete, name: "one"))
                #expect(try await fixture.ended(again).phase == .succeeded)
                #expect(try await fixture.instance("one") == nil)
            }
        }
    }

    // MARK: What has gone too far

    @Test func `a change that fails once the disk has grown leaves row, ledger and host the same`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in
                let made = try await fixture.makeInstance()
                fixture.driver.crashesAtOnce = true
                let keys = #""sshKeys": ["\#(BadInputTests.key)"]"#
                let update = try await fixture.ask(.update(PoolFixture.instance("one", disk: 32 << 20, more: keys)))
                let end = try await fixture.ended(update)
                #expect(end.error?.code == "instance-stopped")
                #expect(fixture.driver.disk(of: made.resource) == 32 << 20)
                #expect(fixture.driver.keys(of: made.resource) == [BadInputTests.key])
                let now = try await fixture.asked("one")
                #expect(now.specification.disk == 32 << 20)
                #expect(now.specification.authorizedKeys == [BadInputTests.key])
                #expect(now.before == now.specification)
                let shown = try #require(try await fixture.instance("one"))
                #expect(shown.state == .stopped)
                #expect(!shown.isReady)
                #expect(shown.reason == end.error?.message)
                #expect(try await fixture.used()["storage"] == 32 << 20)
                #expect(try await fixture.differences() == [])
                fixture.driver.crashesAtOnce = false
                let larger = try await fixture.ask(.update(PoolFixture.instance("one", disk: 48 << 20, more: keys)))
                #expect(try await fixture.ended(larger).phase == .succeeded)
                #expect(try await fixture.instance("one")?.isReady == true)
            }
        }
    }

    @Test func `a change whose disk cannot grow is taken back`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in
                let made = try await fixture.makeInstance()
                fixture.driver.fail(.growDisk, with: [VirtualizationError(.noSpace, "the storage is full")])
                let update = try await fixture.ask(.update(PoolFixture.instance("one", disk: 32 << 20)))
                #expect(try await fixture.ended(update).error?.code == "hypervisor-no-space")
                #expect(try await fixture.asked("one").specification == made.specification)
                #expect(try await fixture.instance("one")?.state == .running)
                #expect(try await fixture.driver.state(of: made.resource) == .running)
                #expect(try await fixture.used()["storage"] == 16 << 20)
            }
        }
    }
}
