import ArgumentParser

/// `medcloud client list`
struct ClientListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the clients of a tenant.")

    @Option(help: "The tenant.")
    var tenant: String

    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let clients = try await RegionConnection.with { connection in
            let api = try PlatformAPI(connection: connection, state: region.state)
            _ = try await api.existingTenant(tenant)
            return try await api.clients(of: tenant)
        }
        let columns: [Renderer.Column] = [
            .init("CLIENT", "id"), .init("NAME", "name"), .init("KIND", "kind"), .init("SCOPE", "scope"),
            .init("DISABLED", "isDisabled"), .init("CREATED", "createdAt"),
        ]
        Terminal.data(Renderer(format: format.output, columns: columns).list(clients))
    }
}
