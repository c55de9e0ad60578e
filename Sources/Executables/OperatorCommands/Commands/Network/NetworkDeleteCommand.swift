import ArgumentParser

/// `medcloud network delete`
struct NetworkDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete a network that no instance uses.")

    @Argument(help: "The network.")
    var name: String

    @Flag(name: .customLong("dry-run"), help: "Only show what would be deleted.")
    var dryRun = false

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions

    func run() async throws {
        let progress = Progress()
        try await region.withAPI { api in
            let network = try await api.network(name, of: tenant.id)
            let range = network[key: "spec"]?[key: "cidr"]?.string ?? ""
            if dryRun {
                Terminal.note("Would delete the network \(name) (\(range)) of \(tenant.id).")
                return
            }
            progress.step("deleting the network \(name) (\(range)) of \(tenant.id)")
            try await OperationProgress(progress).follow(try await api.deleteNetwork(name, of: tenant.id), of: api)
            progress.step("deleted")
        }
    }
}
