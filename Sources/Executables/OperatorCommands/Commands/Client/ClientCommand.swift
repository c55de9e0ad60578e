import ArgumentParser

/// `medcloud client …`
struct ClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client", abstract: "Make, list and disable the OAuth clients of a tenant.",
        subcommands: [ClientCreateCommand.self, ClientListCommand.self, ClientDisableCommand.self])
}
