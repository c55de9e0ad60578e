import Foundation
import Logging
import Testing
import Virtualization

@testable import LibvirtVirtualization

/// The driver's promises, on libvirt's built-in test hypervisor: no daemon, and a state for each test.
@Suite final class TestDriverTests {
    private let driver: LibvirtDriver
    private let file: URL

    init() throws {
        file = FileManager.default.temporaryDirectory.appending(path: "node-\(UUID().uuidString).xml")
        try Data("<node/>".utf8).write(to: file)
        driver = LibvirtDriver(
            uri: "test://\(file.path)", agentSocket: nil,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    deinit { try? FileManager.default.removeItem(at: file) }

    /// Network, volumes and domain of an instance.
    private func make(_ instance: InstanceSpecification, cidr: String = "10.40.1.0/24") async throws {
        try await driver.ensureNetwork(NetworkSpecification(name: instance.network, cidr: cidr))
        try await driver.createDisk(instance)
        try await driver.createSeed(instance)
        try await driver.define(instance)
    }

    /// Told of events for as long as a connection lives.
    private final class Listener: Sendable {}

    @Test(.timeLimit(.minutes(1))) func `a connection that is let go is closed and keeps nothing`() async throws {
        weak var listener: Listener?
        do {
            let strong = Listener()
            listener = strong
            _ = try LibvirtConnection(uri: "test://\(file.path)") { [strong] _ in _ = strong }
        }
        // The event loop frees it.
        while listener != nil { try await Task.sleep(for: .milliseconds(10)) }
    }

    @Test func `the host is described`() async throws {
        let host = try await driver.host()
        #expect(host.hypervisor.hasPrefix("libvirt "))
        #expect(host.cores > 0)
        #expect(!host.isAccelerated)
        #expect(try await driver.images().map(\.name) == ["probe"])
    }

    @Test func `a disk grows and does not shrink`() async throws {
        var instance = InstanceSpecification.sample()
        await #expect { try await driver.growDisk(instance) } throws: {
            ($0 as? VirtualizationError)?.code == .notFound
        }
        try await make(instance)
        let size = instance.disk
        instance.disk = size * 2
        try await driver.growDisk(instance)
        try await driver.growDisk(instance)
        try await driver.createDisk(instance)
        instance.disk = size
        await #expect { try await driver.growDisk(instance) } throws: {
            ($0 as? VirtualizationError)?.code == .conflict
        }
    }

    @Test func `an instance lives through its states`() async throws {
        let instance = InstanceSpecification.sample()
        #expect(try await driver.state(of: instance.name) == nil)
        try await make(instance)
        #expect(try await driver.state(of: instance.name) == .shutOff)
        try await driver.start(instance.name)
        #expect(try await driver.state(of: instance.name) == .running)
        try await driver.reboot(instance.name)
        #expect(try await driver.state(of: instance.name) == .running)
        try await driver.requestShutdown(instance.name)
        #expect(try await driver.state(of: instance.name) == .shutOff)
        try await driver.start(instance.name)
        try await driver.powerOff(instance.name)
        #expect(try await driver.state(of: instance.name) == .shutOff)
        let inventory = try await driver.inventory()
        #expect(inventory.instances.map(\.name) == [instance.name])
        #expect(inventory.instances.first?.uuid == instance.uuid)
        #expect(inventory.instances.first?.memory == instance.memory)
        #expect(inventory.networks == [instance.network])
        #expect(inventory.volumes == [instance.name])
    }

    @Test func `every call may be repeated`() async throws {
        let instance = InstanceSpecification.sample()
        for _ in 0..<2 { try await make(instance) }
        for _ in 0..<2 { try await driver.start(instance.name) }
        for _ in 0..<2 { try await make(instance) }
        #expect(try await driver.state(of: instance.name) == .running)
        for _ in 0..<2 { try await driver.powerOff(instance.name) }
        for _ in 0..<2 { try await driver.requestShutdown(instance.name) }
        for _ in 0..<2 { try await driver.undefine(instance) }
        for _ in 0..<2 { try await driver.removeVolumes(of: instance.name) }
        for _ in 0..<2 { try await driver.removeNetwork(instance.network) }
        let inventory = try await driver.inventory()
        #expect(inventory == HostInventory(instances: [], networks: [], volumes: []))
    }

    @Test func `what is left of a proof of acceleration that was killed goes with the next one`() async throws {
        let isProven = try await driver.call { connection throws(VirtualizationError) in
            try connection.withPool(LibvirtStorage.instancePool) { pool throws(VirtualizationError) in
                try connection.createVolume(StorageXML.raw(name: AccelerationProof.volume, capacity: 1 << 20), in: pool)
            }
            return try AccelerationProof.run(on: connection)
        }
        #expect(!isProven)
        #expect(try await driver.inventory().volumes.isEmpty)
    }

    @Test func `a running domain is unplugged when it is undefined`() async throws {
        let instance = InstanceSpecification.sample()
        try await make(instance)
        try await driver.start(instance.name)
        try await driver.undefine(instance)
        #expect(try await driver.state(of: instance.name) == nil)
    }

    @Test func `a domain is redefined in place`() async throws {
        var instance = InstanceSpecification.sample()
        try await make(instance)
        instance.memory = 128 << 20
        instance.virtualCPUs = 2
        try await driver.define(instance)
        let found = try await driver.inventory().instances
        #expect(found.map(\.memory) == [128 << 20])
        #expect(found.map(\.virtualCPUs) == [2])
        #expect(found.map(\.uuid) == [instance.uuid])
    }

    @Test func `what is used is not removed`() async throws {
        let instance = InstanceSpecification.sample()
        try await make(instance)
        let network = await #expect(throws: VirtualizationError.self) {
            try await driver.removeNetwork(instance.network)
        }
        #expect(network?.code == .inUse)
        let volumes = await #expect(throws: VirtualizationError.self) {
            try await driver.removeVolumes(of: instance.name)
        }
        #expect(volumes?.code == .inUse)
    }

    @Test func `what is there in another shape is a conflict`() async throws {
        var instance = InstanceSpecification.sample()
        try await make(instance)
        let network = await #expect(throws: VirtualizationError.self) {
            try await driver.ensureNetwork(NetworkSpecification(name: instance.network, cidr: "10.41.0.0/24"))
        }
        #expect(network?.code == .conflict)
        instance.disk = 64 << 20
        let larger = instance
        let disk = await #expect(throws: VirtualizationError.self) { try await driver.createDisk(larger) }
        #expect(disk?.code == .conflict)
    }

    @Test func `a disk is not smaller than its image, and its image is there`() async throws {
        let sample = InstanceSpecification.sample()
        var changed = sample
        changed.disk = 1 << 20
        let smaller = changed
        let small = await #expect(throws: VirtualizationError.self) { try await driver.createDisk(smaller) }
        #expect(small?.code == .conflict)
        changed = sample
        changed.image = "nowhere"
        let unknown = changed
        let missing = await #expect(throws: VirtualizationError.self) { try await driver.createDisk(unknown) }
        #expect(missing?.code == .notFound)
    }

    @Test func `what is not there is said so`() async throws {
        let name = ResourceName.random(.instance)
        for attempt in [driver.start, driver.powerOff, driver.reboot, driver.requestShutdown] {
            let failure = await #expect(throws: VirtualizationError.self) { try await attempt(name) }
            #expect(failure?.code == .notFound)
        }
        let undefinable = await #expect(throws: VirtualizationError.self) { try await driver.define(.sample()) }
        #expect(undefinable?.code == .notFound)
    }

    @Test func `the test hypervisor answers probes by the domain's state, and has no console`() async throws {
        let instance = InstanceSpecification.sample(address: "10.40.1.9")
        try await make(instance)
        let probe = ReadinessProbe.http(port: 80, path: "/")
        #expect(try await !driver.probe(probe, address: instance.address, timeout: .seconds(1)))
        try await driver.start(instance.name)
        #expect(try await driver.probe(probe, address: instance.address, timeout: .seconds(1)))
        #expect(try await !driver.probe(probe, address: "10.40.1.10", timeout: .seconds(1)))
        let console = await #expect(throws: VirtualizationError.self) {
            try await driver.consoleLog(of: instance.name, from: 0, limit: 10)
        }
        #expect(console?.code == .unsupported)
    }

    @Test(.timeLimit(.minutes(1))) func `events tell what happens to a domain`() async throws {
        let instance = InstanceSpecification.sample()
        let events = driver.events
        try await make(instance)
        try await driver.start(instance.name)
        try await driver.powerOff(instance.name)
        var states: [DomainState] = []
        for await event in events where event.name == instance.name {
            states.append(event.state)
            if states.count == 2 { break }
        }
        #expect(states == [.running, .shutOff])
    }

    @Test(.timeLimit(.minutes(1))) func `streams end with the driver, and the driver ends when cancelled`() async throws
    {
        let events = driver.events
        let running = Task { [driver] in await driver.run() }
        running.cancel()
        await running.value
        for await _ in events {}
        let failure = await #expect(throws: VirtualizationError.self) { try await driver.inventory() }
        #expect(failure?.code == .unavailable)
    }

    @Test(.timeLimit(.minutes(1))) func `200 instances are made side by side`() async throws {
        let network = ResourceName.random(.network)
        try await driver.ensureNetwork(NetworkSpecification(name: network, cidr: "10.50.0.0/16"))
        try await withThrowingTaskGroup { group in
            for number in 0..<200 {
                group.addTask { [driver] in
                    var instance = InstanceSpecification.sample(network: network, address: "10.50.1.\(number)")
                    instance.uuid = "0b5a0c5e-7f3c-4e2b-9d55-" + String(repeating: "0", count: 9) + "\(100 + number)"
                    instance.macAddress = "52:54:00:00:\(10 + number / 100):\(10 + number % 90)"
                    try await driver.createDisk(instance)
                    try await driver.createSeed(instance)
                    try await driver.define(instance)
                    try await driver.start(instance.name)
                }
            }
            try await group.waitForAll()
        }
        let instances = try await driver.inventory().instances
        #expect(instances.count == 200)
        #expect(instances.allSatisfy { $0.state == .running })
    }
}

/// What a driver does when nobody answers.
@Suite struct ConnectionTests {
    @Test func `a hypervisor that is away is unavailable, and the tries have pauses`() async throws {
        let driver = LibvirtDriver(
            uri: "qemu+unix:///system?socket=/nonexistent/libvirt-sock", agentSocket: nil,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        for _ in 0..<3 {
            let failure = await #expect(throws: VirtualizationError.self) { try await driver.host() }
            #expect(failure?.code == .unavailable)
            #expect(failure?.isTransient == true)
        }
        #expect(ConnectionKeeper.pause(after: 1) == .milliseconds(100))
        #expect(ConnectionKeeper.pause(after: 4) == .milliseconds(800))
        #expect(ConnectionKeeper.pause(after: 1_000) == .seconds(5))
    }

    @Test func `a probe without a way to the guest says so`() throws {
        let failure = #expect(throws: VirtualizationError.self) {
            try GuestProbe(probe: .tcp(port: 80), address: "10.1.1.1", agent: "/nonexistent/agent")
                .run(until: .now + .seconds(1))
        }
        #expect(failure?.code == .unavailable)
    }

    @Test(arguments: ["10.1.1", "localhost", "::1", "10.1.1.1 80\nCONNECT 1.2.3.4"])
    func `a probe takes an address only`(address: String) {
        let failure = #expect(throws: VirtualizationError.self) {
            try GuestProbe(probe: .tcp(port: 80), address: address, agent: nil).run(until: .now + .seconds(1))
        }
        #expect(failure?.code == .failed)
    }
}
