import Coordination
import Virtualization

/// Making and removing networks.
struct NetworkWork: Sendable {
    let driver: any VirtualizationDriver

    var create: ComputeOperation {
        ComputeOperation(
            "network.create",
            [
                OperationStep("define-network", percent: 100) { context in
                    guard let network = try await self.network(context) else { throw Self.isGone }
                    try await context.leader.requireLeadership()
                    try await driving { try await driver.ensureNetwork(network) }
                    return .done
                } undo: { context in
                    try await remove(context)
                }
            ])
    }

    var delete: ComputeOperation {
        ComputeOperation(
            "network.delete",
            [
                OperationStep("remove-network", percent: 100) { context in
                    try await remove(context)
                    return .done
                }
            ], pointOfNoReturn: "remove-network")
    }

    private static let isGone = OperationFailure("gone", "the network is not there any more")

    private func network(_ context: OperationContext) async throws -> NetworkSpecification? {
        try await PoolStore(leader: context.leader).network(try context.subjectID("network"))
    }

    private func remove(_ context: OperationContext) async throws {
        guard let network = try await network(context) else { return }
        try await context.leader.requireLeadership()
        try await driver.removeNetwork(network.name)
    }
}
