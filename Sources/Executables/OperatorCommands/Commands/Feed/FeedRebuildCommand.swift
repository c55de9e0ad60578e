import ArgumentParser

/// `medcloud feed rebuild`
struct FeedRebuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild",
        abstract: "Have the region hear all changes of a tenant again: after a restore of one of the two databases.",
        discussion: "The index keeps its persons and goes on to answer meanwhile.")

    @Argument(help: "The tenant's name.")
    var tenant: String

    @OptionGroup var region: ConnectionOptions

    func run() async throws {
        try await region.withAPI { api in
            _ = try await api.existingTenant(tenant)
            try await api.askFeeds(of: tenant, for: "rebuild")
        }
        Terminal.note("The region hears \(tenant) again from the beginning; `medcloud feed list` shows how far it is.")
    }
}
