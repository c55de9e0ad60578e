import ArgumentParser

/// `medcloud instance show`
struct InstanceShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one instance: what was asked for, and what is.")

    @Argument(help: "The instance.")
    var name: String

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let instance = try await RegionConnection.with { connection in
            try await PlatformAPI(connection: connection, state: region.state).instance(name, of: tenant.id)
        }
        Terminal.data(
            Renderer(format: format.output, columns: InstanceCommand.details, name: "name").object(instance))
    }
}
