import ArgumentParser

/// Whose client a command is about: a tenant's or the region's.
struct ClientRealm: ParsableArguments {
    @Option(help: "The tenant.")
    var tenant: String?

    @Flag(name: .customLong("region"), help: "The region itself, for a view across institutions.")
    var isRegion = false

    /// The tenant's name, or ``ClientProfile/region``.
    /// - Throws: ``CommandFailure`` when neither or both are named.
    var name: String {
        get throws {
            guard let name = try Self.named(tenant, isRegion: isRegion) else {
                throw CommandFailure(.usage, "Name a tenant with --tenant, or the region with --region.")
            }
            return name
        }
    }

    static func named(_ tenant: String?, isRegion: Bool) throws -> String? {
        guard isRegion else { return tenant }
        guard tenant == nil || tenant == ClientProfile.region else {
            throw CommandFailure(.usage, "--tenant and --region exclude each other.")
        }
        return ClientProfile.region
    }
}

extension PlatformAPI {
    /// The realm's name, checked: a tenant must exist.
    func existingRealm(_ realm: ClientRealm) async throws -> String {
        let name = try realm.name
        if name != ClientProfile.region { _ = try await existingTenant(name) }
        return name
    }
}
