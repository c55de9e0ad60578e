import ArgumentParser

/// `medcloud quota show`
struct QuotaShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show what a tenant may use, and uses.")

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let quota = try await RegionConnection.with { connection in
            try await PlatformAPI(connection: connection, state: region.state).quota(of: tenant.id)
        }
        QuotaCommand.print(quota, format.output)
    }
}
