import ArgumentParser

/// `medcloud feed rebuild`
struct FeedRebuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild",
        abstract: "Have the region hear all changes of a tenant again: after a restore of one of the two databases.",
        discussion: "The index keeps its persons and goes on to answer meanwhile.")

    @Argument(help: "The tenant's name.")
    var tenant: String

    @OptionGroup var region: RegionOptions

    func run() async throws {
        try await RegionConnection.with { connection in
            let api = try PlatformAPI(connection: connection, state: region.state)
            _ = try await api.existingTenant(tenant)
            try await api.askFeeds(of: tenant, for: "rebuild")
        }
        Terminal.note("The region hears \(tenant) again from the beginning; `medcloud feed list` shows how far it is.")
    }
}
