import ArgumentParser

/// `medcloud instance show`
struct InstanceShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one instance: what was asked for, and what is.")

    @Argument(help: "The instance.")
    var name: String

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let instance = try await region.withAPI { api in
            try await api.instance(name, of: tenant.id)
        }
        Terminal.data(
            Renderer(format: format.output, columns: InstanceCommand.details, name: "name").object(instance))
    }
}
