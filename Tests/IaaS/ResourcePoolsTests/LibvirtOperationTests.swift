import CloudModel
import Coordination
import Foundation
import LibvirtVirtualization
import Logging
import PostgresDriver
import ResourcePools
import Testing
import Virtualization

/// The same operations on libvirt's built-in test hypervisor.
struct LibvirtOperationTests {
    private func withDriver<R: Sendable>(_ body: @Sendable (LibvirtDriver) async throws -> R) async throws -> R {
        // A file gives the driver a state of its own.
        let file = FileManager.default.temporaryDirectory.appending(path: "node-\(UUID().uuidString).xml")
        try Data("<node/>".utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return try await body(LibvirtDriver(uri: "test://\(file.path)", agentSocket: nil, logger: .quiet))
    }

    /// What somebody does at the hypervisor without us.
    private static let acts:
        [(name: String, kind: String, act: @Sendable (LibvirtDriver, AskedInstance) async throws -> Void)] = [
            ("destroy", "stopped", { try await $0.powerOff($1.resource) }),
            ("undefine", "missing", { try await $0.undefine($1.specification) }),
            (
                "setmem", "changed",
                { driver, made in
                    var changed = made.specification
                    changed.memory *= 2
                    try await driver.powerOff(made.resource)
                    try await driver.define(changed)
                    try await driver.start(made.resource)
                }
            ),
        ]

    @Test(arguments: ["report", "repair"])
    func `what is done behind our back is reported or repaired within ten seconds`(_ policy: String) async throws {
        try await withDriver { driver in
            try await PoolFixture.run { fixture in
                try await fixture.pool.withTransaction { connection in
                    try await connection.execute(
                        "set local control.acting = 'region'; select control.set_drift_policy('test', 'h1', '\(policy)')"
                    )
                }
                try await fixture.withEngine(on: driver) { leader in
                    let network = try await fixture.gateway.createNetwork(
                        PoolFixture.network(), of: PoolFixture.tenant, acting: nil, actor: "test")
                    #expect(try await fixture.ended(network).phase == .succeeded)
                    let creation = try await fixture.ask(.create(PoolFixture.instance("one")))
                    #expect(try await fixture.ended(creation).phase == .succeeded)
                    let made = try #require(try await PoolStore(leader: leader).instances().first)
                    let reconciler = InstanceReconciler(driver: driver, turns: fixture.turns, logger: .quiet)
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask { try? await reconciler.run(leader: leader) }
                        for (name, kind, act) in Self.acts {
                            try await act(driver, made)
                            let begin = ContinuousClock.now
                            try await fixture.until("\(name) is \(policy)ed") {
                                let seen = try await driver.inventory().instances.first
                                let isRight = seen?.state == .running && seen?.memory == made.specification.memory
                                if policy == "repair" { return isRight ? true : nil }
                                return try await fixture.gateway.drifts(acting: nil).map(\.kind) == [kind] ? true : nil
                            }
                            let took = ContinuousClock.now - begin
                            print("drift: \(name), \(policy) after \(took)")
                            #expect(took < .seconds(10))
                            // As it was, for the next one.
                            try await driver.define(made.specification)
                            try await driver.powerOff(made.resource)
                            try await driver.start(made.resource)
                            try await fixture.until("over") {
                                try await fixture.gateway.drifts(acting: nil).isEmpty ? true : nil
                            }
                        }
                        group.cancelAll()
                    }
                }
            }
        }
    }

    @Test func `an instance lives through its operations and leaves nothing`() async throws {
        try await withDriver { driver in
            try await PoolFixture.run { fixture in
                try await fixture.withEngine(on: driver) { leader in
                    let network = try await fixture.gateway.createNetwork(
                        PoolFixture.network(), of: PoolFixture.tenant, acting: nil, actor: "test")
                    func succeed(_ id: String) async throws {
                        let end = try await fixture.ended(id)
                        #expect(end.phase == .succeeded, "\(end.kind): \(end.error?.message ?? "")")
                    }
                    try await succeed(network)
                    try await succeed(try await fixture.ask(.create(PoolFixture.instance("one"))))
                    let made = try #require(try await PoolStore(leader: leader).instances().first)
                    #expect(try await driver.state(of: made.resource) == .running)
                    #expect(try await fixture.instance("one")?.isReady == true)
                    try await succeed(try await fixture.ask(.change(.stop, name: "one")))
                    #expect(try await driver.state(of: made.resource) == .shutOff)
                    try await succeed(try await fixture.ask(.change(.start, name: "one")))
                    try await succeed(try await fixture.ask(.change(.reboot, name: "one")))
                    try await succeed(
                        try await fixture.ask(
                            .update(PoolFixture.instance("one", vcpus: 2, memory: 256 << 20, disk: 64 << 20))))
                    let seen = try #require(try await driver.inventory().instances.first)
                    #expect(seen.virtualCPUs == 2)
                    #expect(seen.memory == 256 << 20)
                    #expect(seen.uuid == made.id)
                    #expect(seen.state == .running)
                    let reconciler = InstanceReconciler(driver: driver, turns: fixture.turns, logger: .quiet)
                    #expect(try await reconciler.pass(leader: leader) == [])
                    #expect(try await fixture.gateway.drifts(acting: nil) == [])
                    try await driver.powerOff(made.resource)
                    _ = try await reconciler.pass(leader: leader)
                    #expect(try await fixture.gateway.drifts(acting: nil).map(\.kind) == ["stopped"])
                    try await succeed(try await fixture.ask(.change(.delete, name: "one")))
                    try await succeed(
                        try await fixture.gateway.deleteNetwork(
                            "lan", of: PoolFixture.tenant, acting: nil, actor: "test"))
                    let rest = try await driver.inventory()
                    #expect(rest.instances.isEmpty && rest.networks.isEmpty && rest.volumes.isEmpty)
                    #expect(try await fixture.used().allSatisfy { $0.value == 0 })
                }
            }
        }
    }
}
