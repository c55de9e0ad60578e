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
                    let reconciler = InstanceReconciler(driver: driver, logger: .quiet)
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
