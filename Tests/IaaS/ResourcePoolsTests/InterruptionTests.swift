import CloudModel
import Coordination
import Logging
import PostgresDriver
import ResourcePools
import TestSupport
import Testing
import Virtualization

/// A controller that dies at any step of an operation leaves nothing that the next one does not finish.
struct InterruptionTests {
    /// Ends the leader when the hypervisor is called the `count`th time, before or after the call has had its effect; then
    /// leads anew. What a process that dies leaves is what is in the database and on the hypervisor.
    private func finish(
        _ fixture: PoolFixture, _ operation: String, interrupting driver: DyingHypervisor
    ) async throws -> OperationStatus {
        try await fixture.withLeader { leader in
            let engine = OperationEngine(
                leader: leader, handlers: ComputeOperation.all(driver: driver, turns: InstanceTurns()), logger: .quiet)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await engine.run() }
                group.addTask { await driver.waitForDeath() }
                group.addTask {
                    // It may be done before it dies.
                    _ = try? await fixture.ended(operation)
                }
                await group.next()
                group.cancelAll()
            }
        }
        return try await fixture.withEngine { _ in try await fixture.ended(operation) }
    }

    @Test(arguments: Array(1...7), [true, false])
    func `create and delete converge after a death at every call`(_ count: Int, _ isAfter: Bool) async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withEngine { _ in
                let network = try await fixture.gateway.createNetwork(
                    PoolFixture.network(), of: PoolFixture.tenant, acting: nil, actor: "test")
                #expect(try await fixture.ended(network).phase == .succeeded)
            }
            let creation = try await fixture.ask(.create(PoolFixture.instance("one")))
            let made = try await finish(
                fixture, creation, interrupting: DyingHypervisor(fixture.driver, at: count, isAfter: isAfter))
            #expect(made.phase == .succeeded)
            #expect(try await fixture.instance("one")?.isReady == true)
            #expect(fixture.driver.starts == 1)
            let deletion = try await fixture.ask(.change(.delete, name: "one"))
            let gone = try await finish(
                fixture, deletion, interrupting: DyingHypervisor(fixture.driver, at: min(count, 2), isAfter: isAfter))
            #expect(gone.phase == .succeeded)
            let inventory = try await fixture.driver.inventory()
            #expect(inventory.instances.isEmpty && inventory.volumes.isEmpty)
            #expect(try await fixture.used().filter { $0.value != 0 } == ["networks": 1])
            #expect(try await fixture.differences() == [])
        }
    }
}
