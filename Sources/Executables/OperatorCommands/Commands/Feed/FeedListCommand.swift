import ArgumentParser

/// `medcloud feed list`
struct FeedListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the feeds; -o json shows parked changes with the reason of each.")

    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let feeds = try await RegionConnection.with { connection in
            try await PlatformAPI(connection: connection, state: region.state).feeds()
        }
        let columns: [Renderer.Column] = [
            .init("TENANT", "tenant"), .init("CONSUMER", "consumer"), .init("POSITION", "position"),
            .init("WAITING", "waiting"), .init("PARKED", "parked"), .init("ASKED", "asked"),
            .init("FAILURE", "failure"), .init("REPORTED", "reportedAt"),
        ]
        Terminal.data(Renderer(format: format.output, columns: columns).list(feeds))
    }
}
