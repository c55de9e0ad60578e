import ArgumentParser

/// `medcloud operation …`
struct OperationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operation", abstract: "List, show, watch and cancel operations.",
        subcommands: [
            OperationListCommand.self, OperationShowCommand.self, OperationWatchCommand.self,
            OperationCancelCommand.self,
        ])

    static let columns: [Renderer.Column] = [
        .init("OPERATION", "id"), .init("KIND", "kind"), .init("TENANT", "tenant"), .init("SUBJECT", "subject"),
        .init("PHASE", "phase"), .init("%", "percent"), .init("STEP", "step"), .init("CREATED", "createdAt"),
    ]

    /// For one operation.
    static let details: [Renderer.Column] = [
        .init("operation", "id"), .init("kind", "kind"), .init("tenant", "tenant"), .init("subject", "subject"),
        .init("phase", "phase"), .init("percent", "percent"), .init("step", "step"), .init("message", "message"),
        .init("error", "error.message"), .init("code", "error.code"), .init("parent", "parent"),
        .init("created", "createdAt"), .init("started", "startedAt"), .init("ended", "endedAt"),
        .init("deadline", "deadline"),
    ]
}
