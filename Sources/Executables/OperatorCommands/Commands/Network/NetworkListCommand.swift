import ArgumentParser

/// `medcloud network list`
struct NetworkListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List a tenant's networks.")

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let networks = try await RegionConnection.with { connection in
            try await PlatformAPI(connection: connection, state: region.state).networks(of: tenant.id)
        }
        Terminal.data(Renderer(format: format.output, columns: NetworkCommand.columns, name: "name").list(networks))
    }
}
