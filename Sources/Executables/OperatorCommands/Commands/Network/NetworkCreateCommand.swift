import ArgumentParser

/// `medcloud network create`
struct NetworkCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a private network for a tenant's instances.")

    @Argument(help: "The network's name within the tenant.")
    var name: String

    @Option(help: "A private IPv4 range from /16 to /29, such as 10.40.1.0/24; free in the whole region.")
    var cidr: String

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let progress = Progress()
        try await region.withAPI { api in
            progress.step("making the network \(name) of \(tenant.id)")
            try await OperationProgress(progress).follow(
                try await api.createNetwork(name, cidr: cidr, in: tenant.id), of: api)
            let network = try await api.network(name, of: tenant.id)
            Terminal.data(
                Renderer(format: format.output, columns: NetworkCommand.columns, name: "name").object(network))
        }
    }
}
