import CloudModel
import DatabaseService
import PostgresDriver
import TenantRegistry
import TestSupport
import Testing

/// Regions of their own: these tests stop controllers and crash Postgres. One after the other, because each starts two
/// Postgres clusters and the machine may be small.
@Suite(.serialized) struct ControllerTests {
    @Test func `what was asked for while no controller ran is done by the next one`() async throws {
        let region = try await TestRegion()
        try await region.startController()
        let gone = try await region.makeTenant()
        try await region.stopController()
        try await region.control.deleteTenant(gone, actor: "test")
        let name = region.newTenantName()
        let new = try #require(TenantID(name))
        try await region.control.createTenant(
            NewTenant(id: name, name: "x", timeZone: "Europe/Berlin", language: "de"), actor: "test")
        #expect(try await region.control.tenant(new)?.state == .provisioning)
        try await region.startController()
        while try await region.control.tenant(new)?.state != .ready { try await Task.sleep(for: .milliseconds(20)) }
        while try await region.control.tenant(gone) != nil { try await Task.sleep(for: .milliseconds(20)) }
        try await region.stopController()
    }

    @Test func `one controller leads, and another follows when it ends`() async throws {
        let region = try await TestRegion()
        try await region.startController()
        let (ready, signal) = AsyncStream.makeStream(of: Void.self)
        let second = region.makeController { signal.yield() }
        let task = Task { try await second.run() }
        _ = try await region.makeTenant()
        try await region.stopController()
        var iterator = ready.makeAsyncIterator()
        _ = await iterator.next()
        _ = try await region.makeTenant()
        task.cancel()
        try await task.value
    }

    @Test func `the controller survives a crash of the control cluster`() async throws {
        let region = try await TestRegion()
        try await region.startController()
        _ = try await region.makeTenant()
        try region.crashControlCluster()
        while true {
            do {
                _ = try await region.makeTenant()
                break
            } catch let error as TenantRegistryError where error.code == .unavailable {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        try await region.stopController()
    }
}
