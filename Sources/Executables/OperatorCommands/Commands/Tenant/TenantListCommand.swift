import ArgumentParser

/// `medcloud tenant list`
struct TenantListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the tenants.")

    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let tenants = try await RegionConnection.with { connection in
            try await PlatformAPI(connection: connection, state: region.state).tenants()
        }
        Terminal.data(Renderer(format: format.output, columns: TenantCommand.columns).list(tenants))
    }
}
