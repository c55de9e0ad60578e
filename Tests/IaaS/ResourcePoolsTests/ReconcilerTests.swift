import CloudModel
import Coordination
import Logging
import PostgresDriver
import ResourcePools
import TestSupport
import Testing
import Virtualization

struct ReconcilerTests {
    /// An instance that runs, and a reconciler at work, under the tenant's policy.
    private func withInstance<R: Sendable>(
        _ policy: String, _ body: @Sendable (PoolFixture, AskedInstance, LeaderContext) async throws -> R
    ) async throws -> R {
        try await PoolFixture.run { fixture in
            try await fixture.pool.withTransaction { connection in
                try await connection.execute(
                    "set local control.acting = 'region'; select control.set_drift_policy('test', 'h1', '\(policy)')")
            }
            return try await fixture.withEngine { leader in
                let network = try await fixture.gateway.createNetwork(
                    PoolFixture.network(), of: PoolFixture.tenant, acting: nil, actor: "test")
                #expect(try await fixture.ended(network).phase == .succeeded)
                let id = try await fixture.ask(.create(PoolFixture.instance("one")))
                #expect(try await fixture.ended(id).phase == .succeeded)
                let made = try #require(try await PoolStore(leader: leader).instances().first)
                let reconciler = InstanceReconciler(
                    driver: fixture.driver, turns: fixture.turns, interval: .milliseconds(100), logger: .quiet)
                let readiness = ReadinessWatch(driver: fixture.driver)
                return try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try? await reconciler.run(leader: leader) }
                    group.addTask { try? await readiness.run(leader: leader) }
                    let result = try await body(fixture, made, leader)
                    group.cancelAll()
                    return result
                }
            }
        }
    }

    private func drift(_ fixture: PoolFixture) async throws -> [String] {
        try await fixture.gateway.drifts(acting: nil).map { "\($0.tenant ?? "-") \($0.kind) \($0.action)" }
    }

    @Test func `what happens behind our back is reported and left alone where that is the policy`() async throws {
        try await withInstance("report") { fixture, made, _ in
            fixture.driver.crash(made.resource)
            let shown = try await fixture.until("seen") {
                try await fixture.gateway.drifts(acting: PoolFixture.tenant).first
            }
            #expect([shown.kind, shown.name, shown.expected, shown.found] == ["stopped", "one", "running", "crashed"])
            let instance = try #require(try await fixture.instance("one"))
            #expect(instance.state == .stopped)
            #expect(instance.observed == "crashed")
            #expect(!instance.isReady)
            #expect(fixture.driver.starts == 1)
            #expect(try await fixture.gateway.drifts(acting: PoolFixture.other) == [])
            fixture.driver.startBehindOurBack(made.resource)
            try await fixture.until("over") { try await drift(fixture).isEmpty ? true : nil }
            fixture.driver.setMemory(1 << 30, of: made.resource)
            try await fixture.until("seen") { try await drift(fixture) == ["h1 changed reported"] ? true : nil }
            fixture.driver.forget(made.resource)
            try await fixture.until("seen") { try await drift(fixture) == ["h1 missing reported"] ? true : nil }
        }
    }

    @Test func `what a restart of the host has left off goes on, whatever the policy is`() async throws {
        try await withInstance("report") { fixture, _, _ in
            fixture.driver.restartHost()
            try await fixture.until("started again") { fixture.driver.starts == 2 ? true : nil }
            try await fixture.until("ready again") { try await fixture.instance("one")?.isReady == true ? true : nil }
            try await fixture.until("over") { try await drift(fixture).isEmpty ? true : nil }
        }
    }

    @Test func `what happens behind our back is put right where that is the policy`() async throws {
        try await withInstance("repair") { fixture, made, _ in
            fixture.driver.crash(made.resource)
            try await fixture.until("started again") { fixture.driver.starts == 2 ? true : nil }
            try await fixture.until("ready again") { try await fixture.instance("one")?.isReady == true ? true : nil }
            fixture.driver.setMemory(1 << 30, of: made.resource)
            try await fixture.until("as asked for") {
                fixture.driver.specification(of: made.resource)?.memory == 128 << 20 ? true : nil
            }
            fixture.driver.forget(made.resource)
            try await fixture.until("defined again") {
                fixture.driver.specification(of: made.resource) == made.specification ? true : nil
            }
            try await fixture.until("ready again") {
                let isReady = try await fixture.instance("one")?.isReady == true
                return try await drift(fixture).isEmpty && isReady ? true : nil
            }
            let stop = try await fixture.ask(.change(.stop, name: "one"))
            #expect(try await fixture.ended(stop).phase == .succeeded)
            fixture.driver.startBehindOurBack(made.resource)
            try await fixture.until("off again") {
                try await fixture.driver.state(of: made.resource) == .shutOff ? true : nil
            }
        }
    }

    @Test func `a machine that ends again and again is given up, and can be started by hand`() async throws {
        try await withInstance("repair") { fixture, made, leader in
            fixture.driver.crashesAtOnce = true
            try await fixture.pool.query(
                PostgresStatement(
                    "update control.instance set restarts = $1, restarted_at = now() - interval '1 hour'"),
                [.int4(Int32(DriftJudge.maximumRestarts - 1))])
            fixture.driver.crash(made.resource)
            let shown = try await fixture.until("given up") {
                let instance = try await fixture.instance("one")
                return instance?.state == .crashed ? instance : nil
            }
            #expect(shown.reason == "it ended by itself 5 times after it was started again")
            #expect(fixture.driver.starts == 2)
            try await fixture.until("reported") { try await drift(fixture) == ["h1 stopped given-up"] ? true : nil }
            fixture.driver.crashesAtOnce = false
            let start = try await fixture.ask(.change(.start, name: "one"))
            #expect(try await fixture.ended(start).phase == .succeeded)
            try await fixture.until("over") { try await drift(fixture).isEmpty ? true : nil }
        }
    }

    @Test func `what no row names is reported to the region and never touched`() async throws {
        try await withInstance("repair") { fixture, made, _ in
            var stranger = made.specification
            stranger.name = .random(.instance)
            try await fixture.driver.createDisk(stranger)
            try await fixture.driver.define(stranger)
            let shown = try await fixture.until("seen") { try await fixture.gateway.drifts(acting: nil).first }
            #expect([shown.tenant, shown.kind, shown.name] == [nil, "orphan", stranger.name.rawValue])
            #expect(try await fixture.gateway.drifts(acting: PoolFixture.tenant) == [])
            #expect(fixture.driver.specification(of: stranger.name) != nil)
        }
    }

    @Test func `pauses between starts grow`() {
        #expect((0...5).map { DriftJudge.pause(before: $0) } == [0, 1, 2, 4, 8, 16].map { Duration.seconds($0) })
    }
}

extension Logger {
    static var quiet: Logger { Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }) }
}
