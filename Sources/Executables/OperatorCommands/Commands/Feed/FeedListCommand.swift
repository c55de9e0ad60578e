import ArgumentParser

/// `medcloud feed list`
struct FeedListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the feeds; -o json shows parked changes with the reason of each.")

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let feeds = try await region.withAPI { api in
            try await api.feeds()
        }
        let columns: [Renderer.Column] = [
            .init("TENANT", "tenant"), .init("CONSUMER", "consumer"), .init("POSITION", "position"),
            .init("WAITING", "waiting"), .init("PARKED", "parked"), .init("ASKED", "asked"),
            .init("FAILURE", "failure"), .init("REPORTED", "reportedAt"),
        ]
        Terminal.data(Renderer(format: format.output, columns: columns, name: "tenant").list(feeds))
    }
}
