import ArgumentParser
import CloudModel

/// `medcloud operation list`
struct OperationListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List operations, newest first.")

    @Option(help: "Only those of this tenant.")
    var tenant: String?

    @Option(help: "Only those in this phase: queued, running, undoing, succeeded, failed or cancelled.")
    var phase: Phase?

    @Option(help: "Only those of this kind, such as tenant.create.")
    var kind: String?

    @Option(help: "Only the parts of this operation.")
    var parent: String?

    @Option(help: "How many at most.")
    var limit = 50

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    enum Phase: String, CaseIterable, ExpressibleByArgument {
        case queued, running, undoing, succeeded, failed, cancelled
    }

    func run() async throws {
        guard limit > 0 else { throw CommandFailure(.usage, "--limit must be at least 1.") }
        let query = [("tenant", tenant), ("phase", phase?.rawValue), ("kind", kind), ("parent", parent)]
            .compactMap { name, value in value.map { (name, $0) } }
        let operations = try await region.withAPI { api in
            try await api.operations(query, limit: limit)
        }
        Terminal.data(Renderer(format: format.output, columns: OperationCommand.columns).list(operations))
    }
}
