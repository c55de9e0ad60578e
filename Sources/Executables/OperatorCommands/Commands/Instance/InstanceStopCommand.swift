import ArgumentParser

/// `medcloud instance stop`
struct InstanceStopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Stop a running instance.",
        discussion: "The guest is asked to power off; after 30 seconds the plug is pulled. Its disk and addresses stay."
    )

    @Argument(help: "The instance.")
    var name: String

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let (name, tenant) = (name, tenant.id)
        try await InstanceVerb(name: name, tenant: tenant, region: region, format: format.output).run("stopping") {
            api in
            try await api.change(name, "stop", of: tenant)
        }
    }
}
