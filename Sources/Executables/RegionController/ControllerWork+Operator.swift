import ApplicationRegistry
import CloudModel
package import Coordination
import DatabaseService
import FoundationEssentials
import Logging

extension ControllerWork {
    /// Registers the operator's public key, which the supervisor puts beside the region's key, and removes used assertions.
    static func operatorRegistration(state: RegionState, logger: Logger) -> ControllerWork {
        let file = state.controllerSecrets + "/operator.jwk.json"
        return ControllerWork(
            duties: [.assertionPurge],
            prepare: [
                { connection in
                    guard let data = FileManager.default.contents(atPath: file) else {
                        logger.warning("no operator key; nobody can administer this region")
                        return
                    }
                    try await OperatorRegistration.register(
                        publicKey: String(decoding: data, as: UTF8.self), on: connection)
                }
            ])
    }
}

extension LeaderDuty {
    /// Removes assertions that could not be used again anyway.
    package static var assertionPurge: LeaderDuty {
        LeaderDuty("assertions", every: .seconds(60)) { leader in
            try await leader.transaction { try await OperatorRegistration.purgeAssertions(on: $0) }
        }
    }
}
