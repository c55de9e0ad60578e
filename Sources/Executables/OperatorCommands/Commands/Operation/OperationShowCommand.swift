import ArgumentParser
import CloudModel

/// `medcloud operation show`
struct OperationShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one operation.")

    @Argument(help: "The operation's id.")
    var id: String

    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let operation = try await RegionConnection.with { connection in
            try await PlatformAPI(connection: connection, state: region.state).operation(id)
        }
        Terminal.data(Renderer(format: format.output, columns: OperationCommand.details).object(operation))
    }
}
