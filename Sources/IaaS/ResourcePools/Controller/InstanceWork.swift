import Coordination
import Virtualization

/// What the operations on instances are made of. Every step finds its own effect, so it may run again after a crash.
struct InstanceWork: Sendable {
    let driver: any VirtualizationDriver
    let turns: InstanceTurns

    /// How long a guest has to power off when it is asked to; then the plug is pulled.
    static let shutdownGrace: Duration = .seconds(30)
    /// How often a machine whose stop is taken back is started; one that does not start then stays off.
    static let startAttempts = 3

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
                    try await driver.undefine(instance.specification)
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

    /// Live where that is possible; else off, changed and on again. A disk that has grown does not shrink, so from there on the
    /// instance is what was asked for, even if it does not start.
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
                    try await driver.undefine(instance.specification)
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
        OperationStep("request-shutdown", percent: 10) { context in
            try await run(context) { store, instance in
                guard isNeeded(instance) else { return }
                let state = try await driver.state(of: instance.resource)
                try await store.observe(instance.id, state)
                switch state {
                case .running: try await askToPowerOff(instance, store)
                case .paused, .shuttingDown: try await store.noteShutdown(instance.id)
                case .shutOff, .crashed, nil: return
                }
            }
            return .done
        } undo: { context in
            try await takeBackShutdown(context)
        }
    }

    private func waitUntilOff(when isNeeded: @escaping @Sendable (AskedInstance) -> Bool) -> OperationStep {
        OperationStep("wait-until-off", percent: 50) { context in
            let isOff = try await run(context) { store, instance in
                guard isNeeded(instance) else { return true }
                return try await self.isOff(instance, store)
            }
            return isOff ? .done : .waiting(reason: "the guest is asked to power off", after: Self.look)
        }
    }

    /// Ends well when the probe has answered, and also when it has not within its deadline: the machine is there then, and
    /// says why it is not ready. What began as an operation goes on as the reconciler's watch.
    private var waitUntilReady: OperationStep {
        OperationStep("wait-until-ready", percent: 100) { context in
            let store = PoolStore(leader: context.leader)
            let instance = try await self.instance(context, store)
            guard instance.isToRun else { return .done }
            let state = try await driving { try await driver.state(of: instance.resource) }
            guard state == .running else {
                try await store.observe(instance.id, state)
                throw OperationFailure("instance-stopped", "the machine ended by itself while it started")
            }
            let reason = try await Readiness(driver: driver).reason(instance)
            try await store.setReadiness(instance.id, reason: reason)
            guard let reason, instance.runningFor ?? .zero < instance.probeDeadline else { return .done }
            return .waiting(reason: reason, after: .milliseconds(300))
        }
    }

    // MARK: Powering off

    /// How often a guest that is to power off is looked at.
    private static let look: Duration = .milliseconds(250)

    private func askToPowerOff(_ instance: AskedInstance, _ store: PoolStore) async throws {
        // Before, so that whoever takes it back knows of it; after, so that the guest has its whole time.
        try await store.noteShutdown(instance.id)
        try await driver.requestShutdown(instance.resource)
        try await store.noteShutdown(instance.id)
    }

    /// Whether it is off now; pulls the plug of one that has had its time, and of one that cannot listen.
    private func isOff(_ instance: AskedInstance, _ store: PoolStore) async throws -> Bool {
        let state = try await driver.state(of: instance.resource)
        switch state {
        case .running, .shuttingDown:
            guard let asked = instance.shutdownAskedFor else {
                // Somebody has started it behind our back.
                try await askToPowerOff(instance, store)
                return false
            }
            guard asked >= Self.shutdownGrace else { return false }
            try await driver.powerOff(instance.resource)
            try await store.observe(instance.id, .shutOff)
        case .paused:
            try await driver.powerOff(instance.resource)
            try await store.observe(instance.id, .shutOff)
        case .shutOff, .crashed, nil:
            try await store.observe(instance.id, state)
        }
        return true
    }

    /// A guest that was asked to power off does so sooner or later, so it is waited for and started again then. One that does
    /// not start is left off, as it would be if it had ended by itself.
    private func takeBackShutdown(_ context: OperationContext) async throws {
        var attempts = 0
        while attempts < Self.startAttempts {
            do {
                let isDone = try await undo(context) { store, instance in
                    guard instance.wasToRun, instance.shutdownAskedFor != nil else { return true }
                    // What is recorded as off has been off: if it runs, it was started here before an interruption.
                    if instance.isRunning, try await !isOff(instance, store) { return false }
                    try await driver.start(instance.resource)
                    try await store.observe(instance.id, .running)
                    return true
                }
                if isDone ?? true { return }
                try await Task.sleep(for: Self.look)
            } catch let error as VirtualizationError where error.code != .unavailable {
                attempts += 1
                if attempts < Self.startAttempts { try await Task.sleep(for: .seconds(1)) }
            }
        }
    }

    // MARK: Parts

    private typealias Act<Result> = @Sendable (PoolStore, AskedInstance) async throws -> Result

    private func step(_ name: String, _ percent: Int, run act: @escaping Act<Void>) -> OperationStep {
        OperationStep(name, percent: percent) { context in
            try await run(context, act)
            return .done
        }
    }

    private func step(
        _ name: String, _ percent: Int, run act: @escaping Act<Void>, undo: @escaping Act<Void>
    ) -> OperationStep {
        OperationStep(name, percent: percent) { context in
            try await run(context, act)
            return .done
        } undo: { context in
            try await self.undo(context, undo)
        }
    }

    private func run<Result: Sendable>(_ context: OperationContext, _ act: Act<Result>) async throws -> Result {
        let store = PoolStore(leader: context.leader)
        return try await turns.take(try context.subjectID("instance")) {
            let instance = try await instance(context, store)
            try await context.leader.requireLeadership()
            return try await driving { try await act(store, instance) }
        }
    }

    /// Nil when there was nothing to undo any more.
    @discardableResult
    private func undo<Result: Sendable>(_ context: OperationContext, _ act: Act<Result>) async throws -> Result? {
        let store = PoolStore(leader: context.leader)
        let id = try context.subjectID("instance")
        return try await turns.take(id) {
            guard let instance = try await store.instance(id) else { return nil }
            try await context.leader.requireLeadership()
            do {
                return try await act(store, instance)
            } catch let error as VirtualizationError where error.code == .notFound {
                // What is not there needs no undoing.
                return nil
            }
        }
    }

    private func instance(_ context: OperationContext, _ store: PoolStore) async throws -> AskedInstance {
        guard let instance = try await store.instance(try context.subjectID("instance")) else {
            throw OperationFailure("gone", "the instance is not there any more")
        }
        return instance
    }
}
