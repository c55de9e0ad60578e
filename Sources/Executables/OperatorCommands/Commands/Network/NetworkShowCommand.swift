import ArgumentParser

/// `medcloud network show`
struct NetworkShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one network.")

    @Argument(help: "The network.")
    var name: String

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let network = try await RegionConnection.with { connection in
            try await PlatformAPI(connection: connection, state: region.state).network(name, of: tenant.id)
        }
        Terminal.data(Renderer(format: format.output, columns: NetworkCommand.columns, name: "name").object(network))
    }
}
