import ArgumentParser

/// `medcloud instance reboot`
struct InstanceRebootCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reboot", abstract: "Stop a running instance and start it again.")

    @Argument(help: "The instance.")
    var name: String

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let (name, tenant) = (name, tenant.id)
        try await InstanceVerb(name: name, tenant: tenant, region: region, format: format.output).run("rebooting") {
            api in
            try await api.change(name, "reboot", of: tenant)
        }
    }
}
