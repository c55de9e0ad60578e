import ArgumentParser
import CloudModel

/// `medcloud operation cancel`
struct OperationCancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Ask for an operation's end.",
        discussion: """
            One that waits ends at once; one that runs is taken back first, which `medcloud operation watch` shows. Refused \
            (exit code 4) when it has ended or has gone too far.
            """)

    @Argument(help: "The operation's id.")
    var id: String

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let operation = try await region.withAPI { api in
            try await api.cancelOperation(id)
        }
        Terminal.data(Renderer(format: format.output, columns: OperationCommand.details).object(operation))
    }
}
