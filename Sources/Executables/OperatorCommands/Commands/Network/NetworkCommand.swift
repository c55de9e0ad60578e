import ArgumentParser

/// `medcloud network …`
struct NetworkCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "network", abstract: "Make, list and delete a tenant's private networks.",
        subcommands: [
            NetworkListCommand.self, NetworkShowCommand.self, NetworkCreateCommand.self, NetworkDeleteCommand.self,
        ])

    static let columns: [Renderer.Column] = [
        .init("NETWORK", "name"), .init("RANGE", "spec.cidr"), .init("STATE", "status.state"),
        .init("INSTANCES", "status.instances"), .init("CREATED", "createdAt"),
    ]
}
