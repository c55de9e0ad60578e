import ArgumentParser

/// `medcloud network show`
struct NetworkShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one network.")

    @Argument(help: "The network.")
    var name: String

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let network = try await region.withAPI { api in
            try await api.network(name, of: tenant.id)
        }
        Terminal.data(Renderer(format: format.output, columns: NetworkCommand.columns, name: "name").object(network))
    }
}
