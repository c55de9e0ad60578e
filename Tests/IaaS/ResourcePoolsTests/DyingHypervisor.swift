import TestSupport
import Virtualization

/// Passes calls on until the controller that makes them is to die: from then on none comes back.
final class DyingHypervisor: VirtualizationDriver {
    private let inner: FakeHypervisor
    private let counter: Counter
    private let isAfter: Bool
    private let deaths: AsyncStream<Void>
    private let death: AsyncStream<Void>.Continuation

    private actor Counter {
        private var left: Int
        init(_ left: Int) { self.left = left }
        func isLast() -> Bool {
            left -= 1
            return left <= 0
        }
    }

    init(_ inner: FakeHypervisor, at count: Int, isAfter: Bool) {
        self.inner = inner
        counter = Counter(count)
        self.isAfter = isAfter
        (deaths, death) = AsyncStream.makeStream()
    }

    func waitForDeath() async {
        for await _ in deaths { return }
    }

    private func call<R: Sendable>(
        _ body: () async throws(VirtualizationError) -> R
    ) async throws(VirtualizationError) -> R {
        guard await counter.isLast() else { return try await body() }
        if isAfter { _ = try await body() }
        death.yield()
        try? await Task.sleep(for: .seconds(60))
        throw VirtualizationError(.unavailable, "the controller is dead")
    }

    func host() async throws(VirtualizationError) -> HostDescription { try await inner.host() }
    func images() async throws(VirtualizationError) -> [BaseImage] { try await inner.images() }
    func inventory() async throws(VirtualizationError) -> HostInventory { try await inner.inventory() }
    func ensureNetwork(_ network: NetworkSpecification) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.ensureNetwork(network) }
    }
    func removeNetwork(_ name: ResourceName) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.removeNetwork(name) }
    }
    func createDisk(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.createDisk(instance) }
    }
    func growDisk(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.growDisk(instance) }
    }
    func createSeed(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.createSeed(instance) }
    }
    func removeVolumes(of name: ResourceName) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.removeVolumes(of: name) }
    }
    func define(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.define(instance) }
    }
    func start(_ name: ResourceName) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.start(name) }
    }
    func requestShutdown(_ name: ResourceName) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.requestShutdown(name) }
    }
    func powerOff(_ name: ResourceName) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.powerOff(name) }
    }
    func reboot(_ name: ResourceName) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.reboot(name) }
    }
    func undefine(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await call { () throws(VirtualizationError) in try await inner.undefine(instance) }
    }
    func state(of name: ResourceName) async throws(VirtualizationError) -> DomainState? {
        try await call { () throws(VirtualizationError) in try await inner.state(of: name) }
    }
    func probe(
        _ probe: ReadinessProbe, address: String, timeout: Duration
    ) async throws(VirtualizationError) -> Bool {
        try await call { () throws(VirtualizationError) in
            try await inner.probe(probe, address: address, timeout: timeout)
        }
    }
    func consoleLog(
        of name: ResourceName, from offset: Int64, limit: Int
    ) async throws(VirtualizationError) -> [UInt8] {
        try await inner.consoleLog(of: name, from: offset, limit: limit)
    }
    var events: AsyncStream<InstanceEvent> { inner.events }
}
