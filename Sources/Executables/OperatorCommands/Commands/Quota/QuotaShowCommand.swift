import ArgumentParser

/// `medcloud quota show`
struct QuotaShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show what a tenant may use, and uses.")

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let quota = try await region.withAPI { api in
            try await api.quota(of: tenant.id)
        }
        QuotaCommand.print(quota, format.output)
    }
}
