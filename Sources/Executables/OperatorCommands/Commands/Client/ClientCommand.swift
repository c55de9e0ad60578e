import ArgumentParser

/// `medcloud client …`
struct ClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client", abstract: "Make, list and disable the OAuth clients of a tenant or of the region.",
        subcommands: [ClientCreateCommand.self, ClientListCommand.self, ClientDisableCommand.self])
}
