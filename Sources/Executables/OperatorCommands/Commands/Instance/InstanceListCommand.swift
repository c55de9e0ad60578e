import ArgumentParser

/// `medcloud instance list`
struct InstanceListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List a tenant's instances.")

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let instances = try await region.withAPI { api in
            try await api.instances(of: tenant.id)
        }
        Terminal.data(
            Renderer(format: format.output, columns: InstanceCommand.columns, name: "name").list(instances))
    }
}
