package import Coordination
package import Logging
package import Virtualization

/// Keeps comparing the host with what was asked for: on each event of the hypervisor and from time to time, because events
/// may be missed.
package struct InstanceReconciler: Sendable {
    private let driver: any VirtualizationDriver
    private let turns: InstanceTurns
    private let interval: Duration
    private let logger: Logger

    /// - Parameters:
    ///   - turns: shared with the operations.
    ///   - interval: between looks when nothing happens.
    package init(
        driver: any VirtualizationDriver, turns: InstanceTurns, interval: Duration = .seconds(2), logger: Logger
    ) {
        self.driver = driver
        self.turns = turns
        self.interval = interval
        self.logger = logger
    }

    /// What a leading controller does besides operations: this, the readiness of machines, the host's description, and
    /// consoles.
    ///
    /// - Parameter turns: shared with the operations.
    package static func duties(driver: any VirtualizationDriver, turns: InstanceTurns, logger: Logger) -> [LeaderDuty] {
        let reconciler = InstanceReconciler(driver: driver, turns: turns, logger: logger)
        let readiness = ReadinessWatch(driver: driver)
        let consoles = ConsoleReader(driver: driver)
        return [
            LeaderDuty("instances", every: .seconds(1)) { try await reconciler.run(leader: $0) },
            LeaderDuty("readiness", every: .seconds(1)) { try await readiness.run(leader: $0) },
            LeaderDuty("host", every: .seconds(3)) { leader in
                try await PoolStore(leader: leader).record(try await driver.host(), try await driver.images())
            },
            LeaderDuty("consoles", every: .seconds(1)) { try await consoles.run(leader: $0) },
        ]
    }

    /// The same in a region without a hypervisor.
    package static var dutiesWithoutCompute: [LeaderDuty] {
        [LeaderDuty("host", every: .seconds(60)) { try await PoolStore(leader: $0).loseHost() }]
    }

    /// Works until cancelled, the events end, or something fails.
    package func run(leader: LeaderContext) async throws {
        var suspects: Set<String>
        do {
            // Takes the place of what an earlier leader has seen, which counts no more when this one sees nothing.
            suspects = try await pass(leader: leader)
        } catch {
            try await PoolStore(leader: leader).forgetInspection()
            throw error
        }
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in driver.events { wake.yield() }
            }
            group.addTask {
                while !Task.isCancelled {
                    wake.yield()
                    try await Task.sleep(for: interval)
                }
            }
            defer { group.cancelAll() }
            for await _ in wakes {
                try Task.checkCancellation()
                suspects = try await pass(leader: leader, suspects: suspects)
            }
        }
    }

    /// One look at everything.
    ///
    /// - Parameter suspects: what the last look found on the host without a row. Only what is there twice is an orphan: a row
    ///   may go between the two halves of a look.
    /// - Returns: this look's suspects.
    package func pass(leader: LeaderContext, suspects: Set<String> = []) async throws -> Set<String> {
        let store = PoolStore(leader: leader)
        // The rows first: what is seen of an instance whose row has not changed since then is how it is now.
        let asked = try await store.instances()
        let inventory = try await driver.inventory()
        let seen = Dictionary(inventory.instances.map { ($0.name, $0) }) { first, _ in first }
        let volumes = Set(inventory.volumes)
        var findings: [DriftFinding] = []
        for instance in asked {
            if let finding = try await settle(
                instance, seen[instance.resource], hasDisk: volumes.contains(instance.resource), store, leader)
            {
                findings.append(finding)
            }
        }
        let known = Set(asked.map(\.resource)).union(try await store.networkNames())
        let strangers = Set(inventory.instances.map(\.name) + inventory.networks + inventory.volumes).subtracting(known)
        for stranger in strangers.sorted(by: { $0.rawValue < $1.rawValue }) where suspects.contains(stranger.rawValue) {
            findings.append(
                DriftFinding(
                    tenant: nil, resource: stranger.rawValue, kind: .orphan, name: nil, expected: "nothing",
                    found: Self.description(of: stranger, in: inventory), action: .reported))
        }
        try await store.record(findings, in: .compute)
        return Set(strangers.map(\.rawValue))
    }

    private static func description(of name: ResourceName, in inventory: HostInventory) -> String {
        var parts: [String] = []
        if inventory.instances.contains(where: { $0.name == name }) { parts.append("a domain") }
        if inventory.networks.contains(name) { parts.append("a network") }
        if inventory.volumes.contains(name) { parts.append("volumes") }
        return parts.joined(separator: " and ")
    }

    // MARK: One instance

    private func settle(
        _ instance: AskedInstance, _ seen: InstanceObservation?, hasDisk: Bool, _ store: PoolStore,
        _ leader: LeaderContext
    ) async throws -> DriftFinding? {
        guard !instance.isBusy, try await store.observe(instance, seen?.state) else { return nil }
        if instance.restarts > 0, instance.runningFor ?? .zero > DriftJudge.settledAfter {
            try await store.forgetRestarts(instance.id)
        }
        let verdict = DriftJudge.judge(instance, seen: seen, hasDisk: hasDisk)
        do {
            if verdict.act != .none { try await act(verdict.act, on: instance, store, leader) }
        } catch let error as VirtualizationError {
            // The next look tries again; others are not kept waiting.
            logger.warning(
                "an instance could not be repaired",
                metadata: ["tenant.id": "\(instance.tenant)", "instance.id": "\(instance.id)", "error": "\(error)"])
        }
        return verdict.finding
    }

    /// Leaves an instance alone when something is under way or was since it was read: what there is to do is decided at the
    /// next look.
    private func act(
        _ act: DriftJudge.Act, on instance: AskedInstance, _ store: PoolStore, _ leader: LeaderContext
    ) async throws {
        try await turns.takeIfFree(instance.id) {
            guard let now = try await store.instance(instance.id), !now.isBusy, now.changedAt == instance.changedAt
            else { return }
            logger.info(
                "an instance is being put right",
                metadata: ["tenant.id": "\(instance.tenant)", "instance.id": "\(instance.id)", "act": "\(act)"])
            switch act {
            case .none: return
            case .giveUp:
                try await store.giveUp(
                    instance,
                    reason: "it ended by itself \(DriftJudge.maximumRestarts) times after it was started again")
            case .start:
                guard try await store.countRestart(of: instance) else { return }
                try await start(instance, store, leader)
            case .define:
                try await leader.requireLeadership()
                try await driver.define(instance.specification)
                if instance.isToRun { try await start(instance, store, leader) }
            case .redefine:
                try await leader.requireLeadership()
                try await driver.powerOff(instance.resource)
                try await store.observe(instance.id, .shutOff)
                try await driver.define(instance.specification)
                if instance.isToRun { try await start(instance, store, leader) }
            case .powerOff:
                try await leader.requireLeadership()
                try await driver.powerOff(instance.resource)
                try await store.observe(instance.id, .shutOff)
            }
        }
    }

    private func start(_ instance: AskedInstance, _ store: PoolStore, _ leader: LeaderContext) async throws {
        try await leader.requireLeadership()
        try await driver.start(instance.resource)
        try await store.observe(instance.id, .running)
    }
}
