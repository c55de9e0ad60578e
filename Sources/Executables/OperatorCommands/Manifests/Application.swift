import CloudModel
import Foundation
import Glibc
package import TenantManifest

/// Makes the region what some specifications say: compares, asks, sends, watches.
package struct Application: Sendable {
    package let api: PlatformAPI
    package let specifications: [TenantSpecification]
    package let prune: Bool
    /// Where the specifications come from, to say what is wrong with them; nil for a plan file.
    private let files: ManifestFiles?

    package init(api: PlatformAPI, files: ManifestFiles, prune: Bool) {
        self.api = api
        self.files = files
        self.specifications = files.specifications
        self.prune = prune
    }

    package init(api: PlatformAPI, plan: PlanFile) {
        self.api = api
        files = nil
        specifications = plan.specifications
        prune = plan.prune
    }

    /// A plan and the revision it was made at.
    package struct Comparison: Sendable {
        package let plan: SpecificationPlan
        package let revision: Int64
        package let current: [TenantSpecification]
    }

    /// - Throws: ``CommandFailure`` that names files and lines for what cannot be done.
    package func compare() async throws -> Comparison {
        let region = try await api.specification()
        do throws(ManifestError) {
            let plan = try SpecificationPlan(from: region.specifications, to: specifications, prune: prune)
            return Comparison(plan: plan, revision: region.revision, current: region.specifications)
        } catch {
            throw refusal(error)
        }
    }

    private func refusal(_ error: ManifestError) -> CommandFailure {
        files?.refusal(error.issues) ?? CommandFailure(.invalid, error.description)
    }

    /// Sends the plan, and shows what becomes of it until it has ended.
    ///
    /// - Parameter whenAccepted: called as soon as the region has taken it on.
    /// - Returns: the operation as it ended, and its parts.
    /// - Throws: ``CommandFailure`` when it did not succeed.
    package func carryOut(
        _ comparison: Comparison, allowed: [SpecificationChange.Effect], since begin: ContinuousClock.Instant = .now,
        whenAccepted: () -> Void = {}
    ) async throws -> (operation: JSONValue, parts: [JSONValue]) {
        var made: [(file: String, tenant: TenantID, client: TenantClient)] = []
        let accepted: JSONValue
        do {
            var keys: [String: [String: JSONValue]] = [:]
            for (tenant, client) in comparison.plan.generatedKeys {
                let key = try api.prepareKey(of: client, tenant: tenant)
                keys[tenant.rawValue, default: [:]][client.id] = key.publicKeys
                if key.isNew { made.append((key.file, tenant, client)) }
            }
            accepted = try await api.apply(
                ApplyRequest(
                    specifications: specifications, revision: comparison.revision, planHash: comparison.plan.hash,
                    prune: prune, allowed: allowed, keys: keys))
        } catch let error as ManifestError {
            await forget(made)
            throw refusal(error)
        } catch let failure as CommandFailure where failure.code != .unreachable {
            // When nobody answered they may be registered: the next attempt takes them.
            await forget(made)
            throw failure
        }
        whenAccepted()
        let result = try await watch(OperationBars.text(accepted, "id"), since: begin)
        for case .deleteTenant(let tenant) in comparison.plan.steps
        where result.parts.contains(where: {
            OperationBars.text($0, "kind") == "tenant.delete" && OperationBars.text($0, "tenant") == tenant.rawValue
                && OperationBars.text($0, "phase") == "succeeded"
        }) {
            // The keys open nothing any more, and would be in the way of a new tenant of this name.
            try DurableFile.remove("\(api.state.clientsDirectory)/\(tenant)")
            let clients = comparison.current.first { $0.id == tenant }?.clients ?? []
            for client in clients where client.realm == .region {
                unlink(api.state.clientFile(tenant: ClientProfile.region, client: client.id))
            }
        }
        guard OperationBars.text(result.operation, "phase") == "succeeded" else {
            throw Self.failure(result.operation, result.parts)
        }
        return result
    }

    /// Removes keys that were made for nothing: not those that another command has taken up and registered meanwhile.
    private func forget(_ made: [(file: String, tenant: TenantID, client: TenantClient)]) async {
        // Without an answer they stay, as when nobody answered: the next attempt takes them.
        guard !made.isEmpty, let region = try? await api.specification() else { return }
        for (file, tenant, client) in made {
            let registered = region.specifications.first { $0.id == tenant }?.clients ?? []
            if !registered.contains(where: { $0.id == client.id && $0.realm == client.realm }) { unlink(file) }
        }
    }

    /// Waits for what earlier commands have asked for and the region has not done yet: on record is not the same as there.
    ///
    /// - Throws: ``CommandFailure`` when it does not succeed.
    package func finishEarlier() async throws {
        for phase in ["running", "queued"] {
            for earlier in try await api.operations([("kind", "apply"), ("phase", phase)], limit: 100) {
                let id = OperationBars.text(earlier, "id")
                Terminal.note("An earlier apply is still under way (operation \(id)).")
                let result = try await watch(id, since: .now)
                guard OperationBars.text(result.operation, "phase") == "succeeded" else {
                    throw Self.failure(result.operation, result.parts)
                }
            }
        }
    }

    private func watch(
        _ id: String, since begin: ContinuousClock.Instant
    ) async throws -> (operation: JSONValue, parts: [JSONValue]) {
        var bars = OperationBars(since: begin)
        while true {
            let (operation, parts) = try await Self.steadily {
                // The operation first: when it has ended, so have the parts that are read after it.
                (try await api.operation(id), try await api.parts(of: id))
            }
            bars.show(parts)
            if OperationBars.isEnd(operation) { return (operation, parts) }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Asks again for ten seconds when nobody answers: a worker that dies takes what was under way with it, and is back soon.
    static func steadily<Result>(_ ask: () async throws -> Result) async throws -> Result {
        let end = ContinuousClock.now + .seconds(10)
        while true {
            do {
                return try await ask()
            } catch let failure as CommandFailure where failure.code == .unreachable && ContinuousClock.now < end {
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    private static func failure(_ operation: JSONValue, _ parts: [JSONValue]) -> CommandFailure {
        let id = OperationBars.text(operation, "id")
        let failed = parts.filter { OperationBars.isEnd($0) && OperationBars.text($0, "phase") != "succeeded" }
        let lines = failed.prefix(20).map { part in
            let reason = part[key: "error"]?[key: "message"]?.string ?? OperationBars.text(part, "phase")
            return "\n  \(OperationBars.title(part)): \(reason)"
        }
        return CommandFailure(
            .failed,
            "Not everything could be done (operation \(id)); what is missing is planned by the next `medcloud apply`."
                + lines.joined())
    }
}

extension PlatformAPI {
    /// A client's key pair, made now or by an attempt before this one.
    struct PreparedKey {
        let file: String
        let isNew: Bool
        let publicKeys: JSONValue
    }

    /// Writes the private half before the public one is registered: a registered key without its private half would be of
    /// no use to anybody.
    func prepareKey(of client: TenantClient, tenant: TenantID) throws -> PreparedKey {
        let realm = client.realm == .region ? ClientProfile.region : tenant.rawValue
        let path = try clientFile(tenant: realm, client: client.id)
        var profile: ClientProfile
        let isNew = access(path, F_OK) != 0
        if isNew {
            let addresses = ClientProfile.addresses(baseURL: baseURL, tenant: realm)
            profile = ClientProfile(
                tenant: realm, clientID: client.id, tokenURL: addresses.tokenURL, fhirBase: addresses.fhirBase,
                scope: client.scopes, caFile: connection.trust.file, privateKey: .generate())
            try profile.write(to: path)
        } else {
            profile = try ClientProfile.read(path)
            if profile.scope != client.scopes || profile.caFile != connection.trust.file {
                profile.scope = client.scopes
                profile.caFile = connection.trust.file
                try profile.write(to: path)
            }
        }
        return PreparedKey(
            file: path, isNew: isNew,
            publicKeys: .object(["keys": .array([try profile.privateKey.publicJWK()])]))
    }
}
