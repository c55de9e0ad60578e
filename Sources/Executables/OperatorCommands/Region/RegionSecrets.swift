package import CloudModel
import Crypto
import Foundation
import Glibc

/// The keys that a region is born with.
package enum RegionSecrets {
    /// Makes what is missing: `region.key` (the same 32 random bytes for workers and controller, each in a file of its
    /// own), and the operator's key pair.
    package static func ensure(_ state: RegionState, users: RegionUsers) throws {
        let gatewayFile = state.gatewaySecrets + "/region.key"
        let controllerFile = state.controllerSecrets + "/region.key"
        let known = try DurableFile.readIfThere(controllerFile) ?? DurableFile.readIfThere(gatewayFile)
        let key: [UInt8]
        if let known {
            guard known.count == 32 else { throw CommandFailure(.refused, "\(controllerFile) is damaged.") }
            key = known
        } else {
            var generator = SystemRandomNumberGenerator()
            key = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        }
        for (file, owner) in [(controllerFile, users.database), (gatewayFile, users.gateway)] {
            if try DurableFile.readIfThere(file) != key {
                try DurableFile.write(key, to: file, mode: 0o600, owner: owner)
            }
        }
    }

    /// Makes the operator's key pair on first use: the private half into `operator.json`, the public half where the
    /// controller finds it.
    /// - Parameter caFile: the authorities that vouch for the certificate at `baseURL`.
    package static func ensureOperator(
        _ state: RegionState, users: RegionUsers, baseURL: String, caFile: String? = nil
    ) throws {
        // Only where there is none: one that is damaged or that others may read is the operator's to mend.
        let existing =
            try access(state.operatorProfile, F_OK) == 0 ? OperatorProfile.read(state.operatorProfile) : nil
        var profile =
            existing ?? OperatorProfile(baseURL: baseURL, clientID: "operator", privateKey: .generate())
        profile.baseURL = baseURL
        profile.caFile = caFile
        if profile != existing {
            try profile.write(to: state.operatorProfile)
        }
        try moveClients(state, to: baseURL, caFile: caFile)
        let published = try Array(profile.privateKey.publicJWK().serialized(pretty: true).utf8)
        if try DurableFile.readIfThere(state.operatorPublicKey) != published {
            try DurableFile.write(published, to: state.operatorPublicKey, mode: 0o600, owner: users.database)
        }
    }

    /// Client files name the region's address; they follow when it is started at another one (a restored backup, say).
    private static func moveClients(_ state: RegionState, to baseURL: String, caFile: String?) throws {
        for tenant in StateDirectory.names(in: state.clientsDirectory) ?? [] {
            let directory = "\(state.clientsDirectory)/\(tenant)"
            for name in StateDirectory.names(in: directory) ?? [] where name.hasSuffix(".json") {
                let path = "\(directory)/\(name)"
                // A file that is not a client's, or not private, is the operator's own business.
                guard var profile = try? ClientProfile.read(path), profile.tenant == tenant else { continue }
                let addresses = ClientProfile.addresses(baseURL: baseURL, tenant: tenant)
                guard (profile.tokenURL, profile.fhirBase) != addresses || profile.caFile != caFile else { continue }
                (profile.tokenURL, profile.fhirBase) = addresses
                profile.caFile = caFile
                try profile.write(to: path)
            }
        }
    }
}
