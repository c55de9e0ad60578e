import CloudModel
import Coordination
import PostgresDriver
import ResourcePools
import TestSupport
import Testing
import Virtualization

struct InstanceOperationTests {
    /// A ready network and, if wanted, a ready instance.
    private func prepare(_ fixture: PoolFixture, instance: String? = "one", more: String = "") async throws
        -> AskedInstance?
    {
        let network = try await fixture.gateway.createNetwork(
            PoolFixture.network(), of: PoolFixture.tenant, acting: nil, actor: "test")
        #expect(try await fixture.ended(network).phase == .succeeded)
        guard let instance else { return nil }
        let id = try await fixture.ask(.create(PoolFixture.instance(instance, more: more)))
        #expect(try await fixture.ended(id).phase == .succeeded)
        return try await fixture.asked(instance)
    }

    @Test func `an instance is made, ready with its address, and removed with everything`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in
                let made = try #require(try await prepare(fixture))
                let shown = try #require(try await fixture.instance("one"))
                #expect(shown.state == .running)
                #expect(shown.isReady && shown.reason == nil)
                #expect(shown.address == "10.40.1.2")
                #expect(fixture.driver.specification(of: made.resource) == made.specification)
                let deletion = try await fixture.ask(.change(.delete, name: "one"))
                #expect(try await fixture.ended(deletion).phase == .succeeded)
                let network = try await fixture.gateway.deleteNetwork(
                    "lan", of: PoolFixture.tenant, acting: nil, actor: "test")
                #expect(try await fixture.ended(network).phase == .succeeded)
                #expect(fixture.driver.isEmpty)
                #expect(try await fixture.used().allSatisfy { $0.value == 0 })
            }
        }
    }

    @Test func `a controller that leads no more touches no network`() async throws {
        try await PoolFixture.run { fixture in
            let creation = try await fixture.gateway.createNetwork(
                PoolFixture.network(), of: PoolFixture.tenant, acting: nil, actor: "test")
            let input = try await fixture.pool.query(
                PostgresStatement("select input::text from control.operation where id = $1"), [.uuid(creation)])[0]
                .string(0)
            for kind in ["network.create", "network.delete"] {
                let handler = try #require(
                    ComputeOperation.all(driver: fixture.driver, turns: InstanceTurns()).first { $0.kind == kind })
                let context = OperationContext(
                    operation: OperationRecord(
                        id: creation, kind: kind, tenant: PoolFixture.tenant, subject: "lan", input: input,
                        deadline: 0), control: fixture.pool, fencingToken: 0)
                await #expect(throws: CoordinationError.self) { _ = try await handler.steps[0].run(context) }
            }
            #expect(fixture.driver.isEmpty)
        }
    }

    @Test func `an instance waits for its network`() async throws {
        try await PoolFixture.run { fixture in
            let network = try await fixture.gateway.createNetwork(
                PoolFixture.network(), of: PoolFixture.tenant, acting: nil, actor: "test")
            let instance = try await fixture.ask(.create(PoolFixture.instance("one")))
            fixture.driver.fail(.ensureNetwork, with: [VirtualizationError(.unsupported, "no")])
            try await fixture.withEngine { _ in
                #expect(try await fixture.ended(network).phase == .failed)
                let end = try await fixture.ended(instance)
                #expect(end.error?.code == "dependency-failed")
                #expect(try await fixture.differences() == [])
                #expect(try await fixture.used().allSatisfy { $0.value == 0 })
                #expect(fixture.driver.isEmpty)
            }
        }
    }

    @Test func `stop, start and reboot keep identity and tell readiness apart from running`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in
                let made = try #require(try await prepare(fixture, more: #""probeDeadline": 1"#))
                #expect(try await fixture.ended(try await fixture.ask(.change(.stop, name: "one"))).phase == .succeeded)
                #expect(try await fixture.instance("one")?.state == .stopped)
                #expect(try await fixture.instance("one")?.isReady == false)
                fixture.driver.isServing = false
                #expect(
                    try await fixture.ended(try await fixture.ask(.change(.start, name: "one"))).phase == .succeeded)
                let started = try #require(try await fixture.instance("one"))
                #expect(started.state == .running)
                #expect(!started.isReady)
                #expect(started.reason == "TCP port 22 at 10.40.1.2 has not answered within 1 s")
                fixture.driver.isServing = true
                #expect(
                    try await fixture.ended(try await fixture.ask(.change(.reboot, name: "one"))).phase == .succeeded)
                #expect(try await fixture.instance("one")?.isReady == true)
                #expect(fixture.driver.starts == 3)
                #expect(fixture.driver.specification(of: made.resource) == made.specification)
            }
        }
    }

    @Test func `a change restarts only where it must, and keeps identity`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in
                let made = try #require(try await prepare(fixture))
                func update(_ json: String) async throws {
                    #expect(try await fixture.ended(try await fixture.ask(.update(json))).phase == .succeeded)
                }
                // Live.
                try await update(PoolFixture.instance("one", more: #""probe": {"http": {"port": 80, "path": "/up"}}"#))
                #expect(fixture.driver.starts == 1)
                // With a restart.
                try await update(
                    PoolFixture.instance(
                        "one", vcpus: 2, memory: 256 << 20, disk: 32 << 20,
                        more: #""sshKeys": ["\#(BadInputTests.key)"]"#))
                #expect(fixture.driver.starts == 2)
                let now = try #require(fixture.driver.specification(of: made.resource))
                #expect(now.virtualCPUs == 2)
                #expect(now.memory == 256 << 20)
                #expect(fixture.driver.disk(of: made.resource) == 32 << 20)
                #expect(fixture.driver.keys(of: made.resource) == [BadInputTests.key])
                #expect(
                    [now.uuid, now.macAddress, now.address]
                        == [made.specification.uuid, made.specification.macAddress, made.specification.address])
                // Nothing to do.
                let same = try await fixture.gateway.ask(
                    instance: .update(
                        PoolFixture.instance(
                            "one", vcpus: 2, memory: 256 << 20, disk: 32 << 20,
                            more: #""sshKeys": ["\#(BadInputTests.key)"]"#)),
                    of: PoolFixture.tenant, acting: nil, actor: "test")
                #expect(same == nil)
                // Not in place.
                await #expect(throws: ResourcePoolError.self) {
                    try await fixture.ask(.update(PoolFixture.instance("one", vcpus: 2, memory: 256 << 20)))
                }
            }
        }
    }

    @Test(arguments: [FakeHypervisor.Call.createDisk, .createSeed, .define, .start])
    func `a creation that fails for good leaves nothing`(_ call: FakeHypervisor.Call) async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in
                _ = try await prepare(fixture, instance: nil)
                fixture.driver.fail(call, with: [VirtualizationError(.noSpace, "the storage is full")])
                let end = try await fixture.ended(try await fixture.ask(.create(PoolFixture.instance("one"))))
                #expect(end.phase == .failed)
                #expect(end.error?.code == "hypervisor-no-space")
                #expect(try await fixture.instance("one") == nil)
                #expect(try await fixture.used().filter { $0.value != 0 } == ["networks": 1])
                let network = try await fixture.gateway.deleteNetwork(
                    "lan", of: PoolFixture.tenant, acting: nil, actor: "test")
                #expect(try await fixture.ended(network).phase == .succeeded)
                #expect(fixture.driver.isEmpty)
            }
        }
    }

    @Test func `a hypervisor that is away for a moment is waited for`() async throws {
        try await PoolFixture.run { fixture in
            for call in [FakeHypervisor.Call.createDisk, .define, .start, .state, .ensureNetwork] {
                fixture.driver.fail(call, with: [VirtualizationError(.unavailable, "not now")])
            }
            try await fixture.withEngine { _ in
                _ = try await prepare(fixture)
                #expect(try await fixture.instance("one")?.isReady == true)
            }
        }
    }

    @Test func `the end of a console is read for whoever asks`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { leader in
                let made = try #require(try await prepare(fixture))
                fixture.driver.write(console: Array(repeating: UInt8(ascii: "x"), count: 400_000), of: made.resource)
                fixture.driver.write(console: Array("the end".utf8), of: made.resource)
                let duty = try #require(
                    InstanceReconciler.duties(
                        driver: fixture.driver, turns: fixture.turns, logger: .quiet
                    ).first { $0.name == "consoles" })
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try? await duty.run(leader) }
                    let log = try await fixture.gateway.console(
                        of: "one", tenant: PoolFixture.tenant, acting: PoolFixture.tenant, within: .seconds(20))
                    #expect(log.count == 65536)
                    #expect(log.suffix(8) == Array("xthe end".utf8)[...])
                    group.cancelAll()
                }
            }
            // Nobody reads any more, and what was read is not given for what is asked later.
            try await Task.sleep(for: .milliseconds(1100))
            await #expect(throws: ResourcePoolError.self) {
                try await fixture.gateway.console(
                    of: "one", tenant: PoolFixture.tenant, acting: nil, within: .milliseconds(500)
                ).count
            }
        }
    }
}
