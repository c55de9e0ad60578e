import ArgumentParser
import CloudModel

/// `medcloud operation show`
struct OperationShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one operation.")

    @Argument(help: "The operation's id.")
    var id: String

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let operation = try await region.withAPI { api in
            try await api.operation(id)
        }
        Terminal.data(Renderer(format: format.output, columns: OperationCommand.details).object(operation))
    }
}
