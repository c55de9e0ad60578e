import Synchronization
package import Virtualization

/// A hypervisor in memory: keeps what it is told, and fails where a test says so.
package final class FakeHypervisor: VirtualizationDriver {
    /// A call, for failures that are planted.
    package enum Call: String, Sendable, Hashable, CaseIterable {
        case host, images, inventory, ensureNetwork, removeNetwork, createDisk, growDisk, createSeed, removeVolumes,
            define,
            start,
            requestShutdown, powerOff, reboot, undefine, state, probe, consoleLog
    }

    private struct Domain {
        var specification: InstanceSpecification
        var state: DomainState
        var hasRun = true
    }

    private struct State {
        var networks: [ResourceName: NetworkSpecification] = [:]
        var disks: [ResourceName: Int64] = [:]
        var seeds: [ResourceName: [String]] = [:]
        var domains: [ResourceName: Domain] = [:]
        var consoles: [ResourceName: [UInt8]] = [:]
        var failures: [Call: [VirtualizationError]] = [:]
        var interludes: [Call: [@Sendable () async -> Void]] = [:]
        var starts = 0
        var isServing = true
        var listensToPower = true
        var crashesAtOnce = false
        var listeners: [AsyncStream<InstanceEvent>.Continuation] = []
    }

    private let state = Mutex(State())
    package static let image = BaseImage(
        name: "probe", disk: 16 << 20, memory: 64 << 20, sha256: String(repeating: "a", count: 64))

    package init() {}

    // MARK: What tests do to it

    /// The next calls of this kind fail with these, one each.
    package func fail(_ call: Call, with errors: [VirtualizationError]) {
        state.withLock { $0.failures[call, default: []] += errors }
    }

    /// The failures that are left for this kind of call are not to come.
    package func forgive(_ call: Call) {
        state.withLock { $0.failures[call] = nil }
    }

    /// The next call of this kind takes as long as `body`. What an inventory shows is how it was before.
    package func meanwhile(_ call: Call, _ body: @escaping @Sendable () async -> Void) {
        state.withLock { $0.interludes[call, default: []].append(body) }
    }

    /// Whether probes are answered.
    package var isServing: Bool {
        get { state.withLock { $0.isServing } }
        set { state.withLock { $0.isServing = newValue } }
    }

    /// Whether guests power off when they are asked to.
    package var listensToPower: Bool {
        get { state.withLock { $0.listensToPower } }
        set { state.withLock { $0.listensToPower = newValue } }
    }

    /// Whether machines end as soon as they are started.
    package var crashesAtOnce: Bool {
        get { state.withLock { $0.crashesAtOnce } }
        set { state.withLock { $0.crashesAtOnce = newValue } }
    }

    /// How often a machine was started.
    package var starts: Int { state.withLock { $0.starts } }

    /// Something ends the machine.
    package func crash(_ name: ResourceName) {
        change(name, to: .crashed)
    }

    /// The host is switched off and on: everything is defined, nothing runs.
    package func restartHost() {
        state.withLock { state in
            for name in state.domains.keys {
                state.domains[name]?.state = .shutOff
                state.domains[name]?.hasRun = false
            }
        }
    }

    /// Somebody starts it behind our back.
    package func startBehindOurBack(_ name: ResourceName) {
        change(name, to: .running)
    }

    /// Somebody removes the domain behind our back; its disk stays.
    package func forget(_ name: ResourceName) {
        state.withLock { $0.domains[name] = nil }
    }

    /// Somebody changes its memory behind our back.
    package func setMemory(_ memory: Int64, of name: ResourceName) {
        state.withLock { $0.domains[name]?.specification.memory = memory }
    }

    package func write(console bytes: [UInt8], of name: ResourceName) {
        state.withLock { $0.consoles[name, default: []] += bytes }
    }

    package func specification(of name: ResourceName) -> InstanceSpecification? {
        state.withLock { $0.domains[name]?.specification }
    }

    package func disk(of name: ResourceName) -> Int64? { state.withLock { $0.disks[name] } }
    package func keys(of name: ResourceName) -> [String]? { state.withLock { $0.seeds[name] } }

    /// Whether nothing of anybody is left.
    package var isEmpty: Bool {
        state.withLock { $0.networks.isEmpty && $0.disks.isEmpty && $0.seeds.isEmpty && $0.domains.isEmpty }
    }

    private func change(_ name: ResourceName, to new: DomainState) {
        let listeners = state.withLock { state in
            state.domains[name]?.state = new
            state.domains[name]?.hasRun = true
            return state.listeners
        }
        for listener in listeners { listener.yield(InstanceEvent(name: name, state: new)) }
    }

    private func pass(_ call: Call) async throws(VirtualizationError) {
        let interlude = state.withLock { state in
            state.interludes[call]?.isEmpty == false ? state.interludes[call]?.removeFirst() : nil
        }
        await interlude?()
        let failure = state.withLock { state -> VirtualizationError? in
            guard state.failures[call]?.isEmpty == false else { return nil }
            return state.failures[call]?.removeFirst()
        }
        if let failure { throw failure }
    }

    private func domain(_ name: ResourceName) throws(VirtualizationError) -> Domain {
        guard let domain = state.withLock({ $0.domains[name] }) else {
            throw VirtualizationError(.notFound, "there is no domain \(name)")
        }
        return domain
    }

    // MARK: VirtualizationDriver

    package func host() async throws(VirtualizationError) -> HostDescription {
        try await pass(.host)
        return HostDescription(hypervisor: "fake 1", cores: 2, memory: 24 << 30, isAccelerated: false)
    }

    package func images() async throws(VirtualizationError) -> [BaseImage] {
        try await pass(.images)
        return [Self.image]
    }

    package func inventory() async throws(VirtualizationError) -> HostInventory {
        let inventory = state.withLock { state in
            HostInventory(
                instances: state.domains.values.map {
                    InstanceObservation(
                        name: $0.specification.name, uuid: $0.specification.uuid, state: $0.state,
                        virtualCPUs: $0.specification.virtualCPUs, memory: $0.specification.memory,
                        hasRun: $0.hasRun)
                },
                networks: Array(state.networks.keys),
                volumes: Array(Set(state.disks.keys).union(state.seeds.keys)))
        }
        try await pass(.inventory)
        return inventory
    }

    package func ensureNetwork(_ network: NetworkSpecification) async throws(VirtualizationError) {
        try await pass(.ensureNetwork)
        state.withLock { $0.networks[network.name] = network }
    }

    package func removeNetwork(_ name: ResourceName) async throws(VirtualizationError) {
        try await pass(.removeNetwork)
        let isInUse = state.withLock { state in state.domains.values.contains { $0.specification.network == name } }
        guard !isInUse else { throw VirtualizationError(.inUse, "the network has machines") }
        state.withLock { $0.networks[name] = nil }
    }

    package func createDisk(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await pass(.createDisk)
        let present = disk(of: instance.name)
        guard present ?? instance.disk == instance.disk else {
            throw VirtualizationError(.conflict, "the disk has another size")
        }
        state.withLock { $0.disks[instance.name] = instance.disk }
    }

    package func growDisk(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await pass(.growDisk)
        guard let present = disk(of: instance.name) else { throw VirtualizationError(.notFound, "there is no disk") }
        guard present <= instance.disk else { throw VirtualizationError(.conflict, "a disk does not shrink") }
        state.withLock { $0.disks[instance.name] = instance.disk }
    }

    package func createSeed(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await pass(.createSeed)
        state.withLock { $0.seeds[instance.name] = instance.authorizedKeys }
    }

    package func removeVolumes(of name: ResourceName) async throws(VirtualizationError) {
        try await pass(.removeVolumes)
        guard state.withLock({ $0.domains[name] == nil }) else {
            throw VirtualizationError(.inUse, "the domain is still defined")
        }
        state.withLock { state in
            state.disks[name] = nil
            state.seeds[name] = nil
        }
    }

    package func define(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await pass(.define)
        guard state.withLock({ $0.networks[instance.network] != nil }) else {
            throw VirtualizationError(.notFound, "there is no network \(instance.network)")
        }
        state.withLock { state in
            let present = state.domains[instance.name]?.state
            state.domains[instance.name] = Domain(specification: instance, state: present ?? .shutOff)
        }
    }

    package func start(_ name: ResourceName) async throws(VirtualizationError) {
        try await pass(.start)
        guard try domain(name).state != .running else { return }
        state.withLock { $0.starts += 1 }
        change(name, to: crashesAtOnce ? .crashed : .running)
    }

    package func requestShutdown(_ name: ResourceName) async throws(VirtualizationError) {
        try await pass(.requestShutdown)
        _ = try domain(name)
        if listensToPower { change(name, to: .shutOff) }
    }

    package func powerOff(_ name: ResourceName) async throws(VirtualizationError) {
        try await pass(.powerOff)
        if state.withLock({ $0.domains[name] != nil }) { change(name, to: .shutOff) }
    }

    package func reboot(_ name: ResourceName) async throws(VirtualizationError) {
        try await pass(.reboot)
        _ = try domain(name)
    }

    package func undefine(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await pass(.undefine)
        state.withLock { state in
            state.domains[instance.name] = nil
            state.consoles[instance.name] = nil
        }
    }

    package func state(of name: ResourceName) async throws(VirtualizationError) -> DomainState? {
        try await pass(.state)
        return state.withLock { $0.domains[name]?.state }
    }

    package func probe(
        _ probe: ReadinessProbe, address: String, timeout: Duration
    ) async throws(VirtualizationError) -> Bool {
        try await pass(.probe)
        return state.withLock { state in
            state.isServing
                && state.domains.values.contains { $0.specification.address == address && $0.state == .running }
        }
    }

    package func consoleLog(
        of name: ResourceName, from offset: Int64, limit: Int
    ) async throws(VirtualizationError) -> [UInt8] {
        try await pass(.consoleLog)
        return state.withLock { Array(($0.consoles[name] ?? []).dropFirst(Int(offset)).prefix(limit)) }
    }

    package var events: AsyncStream<InstanceEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: InstanceEvent.self)
        state.withLock { $0.listeners.append(continuation) }
        return stream
    }
}
