import ArgumentParser

/// `medcloud client disable`
struct ClientDisableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable",
        abstract: "Disable a client: it gets no more tokens, and those it has end within a second.")

    @Argument(help: "The client's id.")
    var client: String

    @OptionGroup var realm: ClientRealm

    @OptionGroup var region: ConnectionOptions

    func run() async throws {
        try await region.withAPI { api in
            let tenant = try await api.existingRealm(realm)
            let known = try await api.clients(of: tenant).compactMap { $0[key: "id"]?.string }
            guard known.contains(client) else {
                throw CommandFailure(
                    .notFound,
                    "\(tenant == ClientProfile.region ? "The region" : "Tenant \(tenant)") has no client \"\(client)\"."
                        + Suggestion.hint(for: client, among: known))
            }
            try await api.disableClient(tenant: tenant, client: client)
            Terminal.note("Client \(client) of \(tenant) is disabled.")
        }
    }
}
