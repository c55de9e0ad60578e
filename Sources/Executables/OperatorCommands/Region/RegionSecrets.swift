package import CloudModel
import Crypto
import Foundation

/// The keys that a region is born with.
package enum RegionSecrets {
    /// Makes what is missing: `region.key` (the same 32 random bytes for workers and controller, each in a file of its
    /// own), and the operator's key pair.
    package static func ensure(_ state: RegionState, users: RegionUsers) throws {
        let gatewayFile = state.gatewaySecrets + "/region.key"
        let controllerFile = state.controllerSecrets + "/region.key"
        let known = (try? DurableFile.read(controllerFile)) ?? (try? DurableFile.read(gatewayFile))
        let key: [UInt8]
        if let known {
            guard known.count == 32 else { throw CommandFailure(.refused, "\(controllerFile) is damaged.") }
            key = known
        } else {
            var generator = SystemRandomNumberGenerator()
            key = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        }
        for (file, owner) in [(controllerFile, users.database), (gatewayFile, users.gateway)] {
            if (try? DurableFile.read(file)) != key { try DurableFile.write(key, to: file, mode: 0o600, owner: owner) }
        }
    }

    /// Makes the operator's key pair on first use: the private half into `operator.json`, the public half where the
    /// controller finds it.
    package static func ensureOperator(_ state: RegionState, users: RegionUsers, baseURL: String) throws {
        var profile: OperatorProfile
        if let existing = try? OperatorProfile.read(state.operatorProfile) {
            profile = existing
        } else {
            profile = OperatorProfile(baseURL: baseURL, clientID: "operator", privateKey: .generate())
        }
        profile.baseURL = baseURL
        if (try? OperatorProfile.read(state.operatorProfile)) != profile {
            try profile.write(to: state.operatorProfile)
        }
        let published = try Array(profile.privateKey.publicJWK().serialized(pretty: true).utf8)
        if (try? DurableFile.read(state.operatorPublicKey)) != published {
            try DurableFile.write(published, to: state.operatorPublicKey, mode: 0o600, owner: users.database)
        }
    }
}
