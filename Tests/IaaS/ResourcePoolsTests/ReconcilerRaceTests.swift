import CloudModel
import Coordination
import PostgresDriver
import ResourcePools
import TestSupport
import Testing
import Virtualization

/// What somebody asks for while the reconciler looks or acts comes first.
struct ReconcilerRaceTests {
    /// Two instances that run, in the order in which the reconciler comes to them.
    private func withInstances<R: Sendable>(
        _ policy: String, _ body: @Sendable (PoolFixture, [AskedInstance], LeaderContext) async throws -> R
    ) async throws -> R {
        try await PoolFixture.run { fixture in
            try await fixture.pool.withTransaction { connection in
                try await connection.execute(
                    "set local control.acting = 'region'; select control.set_drift_policy('test', 'h1', '\(policy)')")
            }
            return try await fixture.withEngine { leader in
                _ = try await fixture.makeInstance("one")
                let second = try await fixture.ask(.create(PoolFixture.instance("two")))
                #expect(try await fixture.ended(second).phase == .succeeded)
                return try await body(fixture, try await PoolStore(leader: leader).instances(), leader)
            }
        }
    }

    private func look(_ fixture: PoolFixture, _ leader: LeaderContext) async throws {
        _ = try await InstanceReconciler(driver: fixture.driver, turns: fixture.turns, logger: .quiet)
            .pass(leader: leader)
    }

    /// Asks, and waits until it is done.
    private static func carryOut(_ request: PoolDatabase.Request, _ fixture: PoolFixture) async {
        do {
            let operation = try await fixture.ask(request)
            #expect(try await fixture.ended(operation).phase == .succeeded)
        } catch {
            Issue.record(error)
        }
    }

    @Test func `a machine that is stopped while others are started stays off`() async throws {
        try await withInstances("report") { fixture, instances, leader in
            fixture.driver.restartHost()
            let last = try #require(instances.last)
            fixture.driver.meanwhile(.start) { await Self.carryOut(.change(.stop, name: last.name), fixture) }
            try await look(fixture, leader)
            #expect(fixture.driver.starts == 3)
            #expect(try await fixture.driver.state(of: last.resource) == .shutOff)
            #expect(try await fixture.instance(last.name)?.state == .stopped)
        }
    }

    @Test func `a machine that is deleted while others are defined again stays away`() async throws {
        try await withInstances("repair") { fixture, instances, leader in
            for instance in instances { fixture.driver.forget(instance.resource) }
            let last = try #require(instances.last)
            fixture.driver.meanwhile(.define) { await Self.carryOut(.change(.delete, name: last.name), fixture) }
            try await look(fixture, leader)
            #expect(fixture.driver.specification(of: last.resource) == nil)
            #expect(fixture.driver.specification(of: instances[0].resource) != nil)
        }
    }

    @Test func `what was seen before a machine was started does not count after that`() async throws {
        try await withInstances("report") { fixture, instances, leader in
            let one = instances[0]
            await Self.carryOut(.change(.stop, name: one.name), fixture)
            fixture.driver.meanwhile(.inventory) { await Self.carryOut(.change(.start, name: one.name), fixture) }
            try await look(fixture, leader)
            let shown = try #require(try await fixture.instance(one.name))
            #expect(shown.observed == "running")
            #expect(shown.isReady)
            #expect(try await fixture.gateway.drifts(acting: nil) == [])
        }
    }

    @Test func `a stop that comes while the machine is being started again comes after the start`() async throws {
        try await withInstances("report") { fixture, instances, leader in
            fixture.driver.restartHost()
            let (begun, begin) = AsyncStream.makeStream(of: String.self)
            let first = instances[0]
            fixture.driver.meanwhile(.start) {
                do {
                    // The row shows it as stopped, so it is asked for as a change.
                    let stop = try await fixture.ask(
                        .update(PoolFixture.instance(first.name, more: #""running": false"#)))
                    try await fixture.reaches(stop, step: "request-shutdown")
                    begin.yield(stop)
                } catch {
                    Issue.record(error)
                    begin.finish()
                }
            }
            try await look(fixture, leader)
            for await stop in begun {
                #expect(try await fixture.ended(stop).phase == .succeeded)
                break
            }
            #expect(try await fixture.driver.state(of: first.resource) == .shutOff)
            #expect(try await fixture.instance(first.name)?.observed == "shut-off")
        }
    }

    @Test func `guests that do not answer keep nobody waiting`() async throws {
        try await withInstances("report") { fixture, instances, leader in
            let (asked, ask) = AsyncStream.makeStream(of: Void.self)
            for _ in instances {
                fixture.driver.meanwhile(.probe) {
                    ask.yield()
                    try? await Task.sleep(for: .seconds(600))
                }
            }
            let reconciler = InstanceReconciler(
                driver: fixture.driver, turns: fixture.turns, interval: .milliseconds(100), logger: .quiet)
            let readiness = ReadinessWatch(driver: fixture.driver)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try? await reconciler.run(leader: leader) }
                group.addTask { try? await readiness.run(leader: leader) }
                for await _ in asked { break }
                fixture.driver.crash(instances[0].resource)
                try await fixture.until("seen") {
                    try await fixture.gateway.drifts(acting: nil).map(\.kind) == ["stopped"] ? true : nil
                }
                group.cancelAll()
            }
        }
    }
}

struct InstanceTurnsTests {
    @Test func `one at a time, who came first comes first, and who is cancelled in line is not`() async throws {
        let turns = InstanceTurns()
        let (journal, note) = AsyncStream.makeStream(of: String.self)
        try await turns.take("a") {
            let second = Task { try await turns.take("a") { note.yield("second") } }
            let cancelled = Task { try await turns.take("a") { note.yield("cancelled") } }
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            try await turns.takeIfFree("a") { note.yield("not free") }
            try await turns.takeIfFree("b") { note.yield("another") }
            note.yield("first")
            _ = second
        }
        var lines: [String] = []
        for await line in journal {
            lines.append(line)
            if line == "second" { break }
        }
        #expect(lines == ["another", "first", "second"])
        try await turns.takeIfFree("a") { lines.append("free again") }
        #expect(lines.last == "free again")
    }
}

struct ReadinessScheduleTests {
    @Test func `machines that may still be starting are looked at each time, others less and less often`() {
        var schedule = ReadinessSchedule()
        let begin = ContinuousClock.now
        #expect(schedule.due(starting: ["new"], late: ["x", "y"], at: begin) == ["new", "x", "y"])
        schedule.missed("x", at: begin)
        schedule.missed("x", at: begin)
        schedule.missed("y", at: begin)
        #expect(schedule.due(starting: ["new"], late: ["x", "y"], at: begin + .milliseconds(900)) == ["new"])
        #expect(schedule.due(starting: ["new"], late: ["x", "y"], at: begin + .seconds(1)) == ["new", "y"])
        #expect(schedule.due(starting: [], late: ["x", "y"], at: begin + .seconds(2)) == ["y", "x"])
        // One that was away begins anew.
        #expect(schedule.due(starting: ["x"], late: ["y"], at: begin) == ["x"])
        #expect(schedule.due(starting: [], late: ["x", "y"], at: begin) == ["x"])
    }

    @Test func `pauses grow up to a limit`() {
        #expect(
            (1...7).map { ReadinessSchedule.pause(after: $0) }
                == [1, 2, 4, 8, 16, 30, 30].map { Duration.seconds($0) })
    }
}
