import ApplicationRegistry
import CloudModel
import DatabaseService
import FoundationEssentials
import Logging

extension ControllerService.Extensions {
    /// Registers the operator's public key, which the supervisor puts beside the region's key, and removes used assertions.
    static func operatorRegistration(state: RegionState, logger: Logger) -> Self {
        let file = state.controllerSecrets + "/operator.jwk.json"
        return Self(
            prepare: { connection in
                guard let data = FileManager.default.contents(atPath: file) else {
                    logger.warning("no operator key; nobody can administer this region")
                    return
                }
                try await OperatorRegistration.register(
                    publicKey: String(decoding: data, as: UTF8.self), on: connection)
            },
            purge: { try await OperatorRegistration.purgeAssertions(on: $0) })
    }
}
