import ArgumentParser
import CloudModel

/// `medcloud client create`
struct ClientCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a client with a key pair of its own.",
        discussion: """
            The key pair is made here; only the public half is registered. The private half is written to a file of mode \
            0600 and shown nowhere.
            """)

    @Argument(help: "The client's id, such as h1-laboratory.")
    var client: String

    @Option(help: "The tenant.")
    var tenant: String

    @Option(help: "What people call it. Default: the id.")
    var name: String?

    @Option(help: "SMART v2 scopes it may ask for at most.")
    var scope = PlatformAPI.systemScope

    @Option(name: .customLong("key-file"), help: "Where to write the key. Default: below the state directory.")
    var keyFile: String?

    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        try await RegionConnection.with { connection in
            let api = try PlatformAPI(connection: connection, state: region.state)
            _ = try await api.existingTenant(tenant)
            let file = try await api.createClient(
                tenant: tenant, client: client, name: name ?? client, scope: scope,
                file: keyFile.map(StateDirectory.absolute))
            let value = JSONValue.object([
                "id": .string(client), "tenant": .string(tenant), "scope": .string(scope), "keyFile": .string(file),
            ])
            let columns: [Renderer.Column] = [
                .init("client", "id"), .init("tenant", "tenant"), .init("scope", "scope"),
                .init("key file", "keyFile"),
            ]
            Terminal.data(Renderer(format: format.output, columns: columns).object(value))
        }
    }
}
