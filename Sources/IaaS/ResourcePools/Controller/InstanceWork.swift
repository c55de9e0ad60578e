import Coordination
import Virtualization

/// What the operations on instances are made of. Every step finds its own effect, so it may run again after a crash.
struct InstanceWork: Sendable {
    let driver: any VirtualizationDriver

    /// How long a guest has to power off when it is asked to; then the plug is pulled.
    static let shutdownGrace: Duration = .seconds(30)

    // MARK: Operations

    var create: ComputeOperation {
        ComputeOperation(
            "instance.create",
            [
                step("create-disk", 20) { _, instance in
                    try await driver.createDisk(instance.specification)
                } undo: { _, instance in
                    try await driver.removeVolumes(of: instance.resource)
                },
                step("create-seed", 35) { _, instance in
                    try await driver.createSeed(instance.specification)
                } undo: { _, instance in
                    try await driver.removeVolumes(of: instance.resource)
                },
                step("define-domain", 50) { _, instance in
                    try await driver.define(instance.specification)
                } undo: { store, instance in
                    try await driver.undefine(instance.resource)
                    try await store.observe(instance.id, nil)
                },
                startDomain, waitUntilReady,
            ])
    }

    var start: ComputeOperation {
        ComputeOperation("instance.start", [defineDomain, startDomain, waitUntilReady])
    }

    var stop: ComputeOperation {
        ComputeOperation("instance.stop", [requestShutdown(when: { _ in true }), waitUntilOff(when: { _ in true })])
    }

    /// Off and on again, so that what answers afterwards is what has started since.
    var reboot: ComputeOperation {
        ComputeOperation(
            "instance.reboot",
            [
                requestShutdown(when: { _ in true }), waitUntilOff(when: { _ in true }), startDomain, waitUntilReady,
            ])
    }

    /// Live where that is possible; else off, changed and on again.
    var update: ComputeOperation {
        ComputeOperation(
            "instance.update",
            [
                requestShutdown(when: Self.needsStop), waitUntilOff(when: Self.needsStop),
                step("grow-disk", 60) { _, instance in
                    guard instance.specification.disk != instance.before.disk else { return }
                    try await driver.growDisk(instance.specification)
                },
                step("create-seed", 65) { _, instance in
                    guard instance.specification.authorizedKeys != instance.before.authorizedKeys else { return }
                    try await driver.createSeed(instance.specification)
                },
                defineDomain, startDomain, waitUntilReady,
            ], pointOfNoReturn: "grow-disk")
    }

    var delete: ComputeOperation {
        ComputeOperation(
            "instance.delete",
            [
                step("undefine-domain", 60) { store, instance in
                    try await driver.undefine(instance.resource)
                    try await store.observe(instance.id, nil)
                },
                step("remove-volumes", 100) { _, instance in
                    try await driver.removeVolumes(of: instance.resource)
                },
            ], pointOfNoReturn: "undefine-domain")
    }

    /// Whether the machine must be off for the change, or is to be off after it.
    static func needsStop(_ instance: AskedInstance) -> Bool {
        !instance.isToRun || instance.specification != instance.before
    }

    // MARK: Steps

    private var defineDomain: OperationStep {
        step("define-domain", 70) { _, instance in
            try await driver.define(instance.specification)
        } undo: { _, instance in
            try await driver.define(instance.before)
        }
    }

    private var startDomain: OperationStep {
        step("start-domain", 80) { store, instance in
            guard instance.isToRun else { return }
            try await driver.start(instance.resource)
            try await store.observe(instance.id, .running)
        } undo: { store, instance in
            // A machine that ran before goes on; one that is made or started by this operation does not.
            guard instance.state == .requested || instance.state == .starting else { return }
            try await driver.powerOff(instance.resource)
            try await store.observe(instance.id, .shutOff)
        }
    }

    private func requestShutdown(when isNeeded: @escaping @Sendable (AskedInstance) -> Bool) -> OperationStep {
        step("request-shutdown", 10) { _, instance in
            guard isNeeded(instance), try await driver.state(of: instance.resource) == .running else { return }
            try await driver.requestShutdown(instance.resource)
        } undo: { store, instance in
            guard instance.wasToRun else { return }
            try await driver.start(instance.resource)
            try await store.observe(instance.id, .running)
        }
    }

    private func waitUntilOff(when isNeeded: @escaping @Sendable (AskedInstance) -> Bool) -> OperationStep {
        OperationStep("wait-until-off", percent: 50) { context in
            let store = PoolStore(leader: context.leader)
            let instance = try await self.instance(context, store)
            guard isNeeded(instance) else { return .done }
            let state = try await driving { try await driver.state(of: instance.resource) }
            switch state {
            case .running, .paused, .shuttingDown:
                guard instance.changedFor >= Self.shutdownGrace || state == .paused else {
                    return .waiting(reason: "the guest is asked to power off", after: .milliseconds(250))
                }
                try await context.leader.requireLeadership()
                try await driving { try await driver.powerOff(instance.resource) }
                try await store.observe(instance.id, .shutOff)
            case .shutOff, .crashed, nil:
                try await store.observe(instance.id, state)
            }
            return .done
        }
    }

    /// Ends well when the probe has answered, and also when it has not within its deadline: the machine is there then, and
    /// says why it is not ready. What began as an operation goes on as the reconciler's watch.
    private var waitUntilReady: OperationStep {
        OperationStep("wait-until-ready", percent: 100) { context in
            let store = PoolStore(leader: context.leader)
            let instance = try await self.instance(context, store)
            guard instance.isToRun else { return .done }
            guard try await driving({ try await driver.state(of: instance.resource) }) == .running else {
                throw OperationFailure("instance-stopped", "the machine ended by itself while it started")
            }
            let reason = try await Readiness(driver: driver).reason(instance)
            try await store.setReadiness(instance.id, reason: reason)
            guard let reason, instance.runningFor ?? .zero < instance.probeDeadline else { return .done }
            return .waiting(reason: reason, after: .milliseconds(300))
        }
    }

    // MARK: Parts

    private typealias Act = @Sendable (PoolStore, AskedInstance) async throws -> Void

    private func step(_ name: String, _ percent: Int, run: @escaping Act) -> OperationStep {
        OperationStep(name, percent: percent) { context in
            try await self.run(run, context)
            return .done
        }
    }

    private func step(_ name: String, _ percent: Int, run: @escaping Act, undo: @escaping Act) -> OperationStep {
        OperationStep(name, percent: percent) { context in
            try await self.run(run, context)
            return .done
        } undo: { context in
            let store = PoolStore(leader: context.leader)
            guard let instance = try await store.instance(try context.subjectID("instance")) else { return }
            try await context.leader.requireLeadership()
            do {
                try await undo(store, instance)
            } catch let error as VirtualizationError where error.code == .notFound {
                // What is not there needs no undoing.
            }
        }
    }

    private func run(_ act: Act, _ context: OperationContext) async throws {
        let store = PoolStore(leader: context.leader)
        let instance = try await instance(context, store)
        try await context.leader.requireLeadership()
        try await driving { try await act(store, instance) }
    }

    private func instance(_ context: OperationContext, _ store: PoolStore) async throws -> AskedInstance {
        guard let instance = try await store.instance(try context.subjectID("instance")) else {
            throw OperationFailure("gone", "the instance is not there any more")
        }
        return instance
    }
}
