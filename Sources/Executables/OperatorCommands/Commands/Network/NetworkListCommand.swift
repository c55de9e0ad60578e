import ArgumentParser

/// `medcloud network list`
struct NetworkListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List a tenant's networks.")

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let networks = try await region.withAPI { api in
            try await api.networks(of: tenant.id)
        }
        Terminal.data(Renderer(format: format.output, columns: NetworkCommand.columns, name: "name").list(networks))
    }
}
