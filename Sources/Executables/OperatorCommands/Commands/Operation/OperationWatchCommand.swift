import ArgumentParser
import CloudModel

/// `medcloud operation watch`
struct OperationWatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Follow an operation to its end.",
        discussion: """
            Draws a progress bar on a terminal and prints a line for each change elsewhere. With -o json each change is one \
            line of JSON on standard output. Exits with 0 when it succeeded, 1 when it failed, 4 when it was cancelled.
            """)

    @Argument(help: "The operation's id.")
    var id: String

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let asLines = format.output == .json
        let progress = Progress()
        let ended = try await region.withAPI { api in
            return try await api.watch(id) { operation in
                if asLines {
                    Terminal.data(operation.serialized(pretty: false))
                } else {
                    progress.change(OperationProgress.line(operation))
                }
            }
        }
        if !asLines {
            progress.step(ended[key: "phase"]?.string ?? "ended")
            Terminal.data(Renderer(format: format.output, columns: OperationCommand.details).object(ended))
        }
        if let failure = OperationProgress.failure(of: ended) { throw failure }
    }
}
