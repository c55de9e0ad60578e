import ArgumentParser

/// `medcloud instance start`
struct InstanceStartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Start a stopped instance.")

    @Argument(help: "The instance.")
    var name: String

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let (name, tenant) = (name, tenant.id)
        try await InstanceVerb(name: name, tenant: tenant, region: region, format: format.output).run("starting") {
            api in
            try await api.change(name, "start", of: tenant)
        }
    }
}
