import ArgumentParser

/// `medcloud feed retry`
struct FeedRetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Have a tenant's parked changes tried again.")

    @Argument(help: "The tenant's name.")
    var tenant: String

    @OptionGroup var region: ConnectionOptions

    func run() async throws {
        try await region.withAPI { api in
            _ = try await api.existingTenant(tenant)
            try await api.askFeeds(of: tenant, for: "retry")
        }
        Terminal.note("The parked changes of \(tenant) are tried again; `medcloud feed list` shows what comes of it.")
    }
}
