package import Coordination
import StrictJSON
package import Virtualization

/// A kind of operation on a hypervisor.
package struct ComputeOperation: OperationHandler {
    package let kind: String
    package let steps: [OperationStep]
    package let pointOfNoReturn: String?
    /// A hypervisor may refuse for ever, and what is not done then can be asked for again.
    package let isBounded = true

    init(_ kind: String, _ steps: [OperationStep], pointOfNoReturn: String? = nil) {
        self.kind = kind
        self.steps = steps
        self.pointOfNoReturn = pointOfNoReturn
    }

    /// Everything that networks and instances need.
    ///
    /// - Parameter turns: shared with the reconciler.
    package static func all(driver: any VirtualizationDriver, turns: InstanceTurns) -> [any OperationHandler] {
        let networks = NetworkWork(driver: driver)
        let instances = InstanceWork(driver: driver, turns: turns)
        return [
            networks.create, networks.delete, instances.create, instances.start, instances.stop, instances.reboot,
            instances.update, instances.delete,
        ]
    }

    /// The same kinds in a region without a hypervisor: each fails at once.
    package static var refusals: [any OperationHandler] {
        let kinds =
            ["network.create", "network.delete", "instance.create"]
            + InstanceChangeRequest.allCases.map { "instance." + $0.rawValue }
        return kinds.map { kind in
            ComputeOperation(
                kind,
                [
                    OperationStep("find-hypervisor", percent: 0) { _ in
                        throw OperationFailure("no-compute", "this region runs without compute")
                    }
                ])
        }
    }
}

extension OperationContext {
    /// The id that the operation's input names.
    func subjectID(_ member: String) throws(OperationFailure) -> String {
        guard let root = try? JSONDocument(Array(operation.input.utf8)).root, let id = root[member]?.string else {
            throw OperationFailure("invalid-input", "the operation does not say what it is for")
        }
        return id
    }
}

/// Says what trying again does not help, and lets the rest be tried again.
func driving<R>(_ body: () async throws -> R) async throws -> R {
    do {
        return try await body()
    } catch let error as VirtualizationError {
        switch error.code {
        case .notFound, .conflict, .unsupported, .noSpace:
            throw OperationFailure("hypervisor-\(error.code)", error.message)
        default: throw error
        }
    }
}
