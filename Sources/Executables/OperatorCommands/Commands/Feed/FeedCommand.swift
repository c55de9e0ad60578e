import ArgumentParser

/// `medcloud feed …`
struct FeedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "feed",
        abstract: "Show how far the region's index is with each tenant's changes, and have it try or hear them again.",
        subcommands: [FeedListCommand.self, FeedRetryCommand.self, FeedRebuildCommand.self])
}
