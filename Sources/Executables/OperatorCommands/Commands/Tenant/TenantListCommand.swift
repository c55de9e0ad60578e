import ArgumentParser

/// `medcloud tenant list`
struct TenantListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the tenants.")

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let tenants = try await region.withAPI { api in
            try await api.tenants()
        }
        Terminal.data(Renderer(format: format.output, columns: TenantCommand.columns).list(tenants))
    }
}
