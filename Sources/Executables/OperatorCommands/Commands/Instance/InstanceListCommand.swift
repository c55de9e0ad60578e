import ArgumentParser

/// `medcloud instance list`
struct InstanceListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List a tenant's instances.")

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let instances = try await RegionConnection.with { connection in
            try await PlatformAPI(connection: connection, state: region.state).instances(of: tenant.id)
        }
        Terminal.data(
            Renderer(format: format.output, columns: InstanceCommand.columns, name: "name").list(instances))
    }
}
