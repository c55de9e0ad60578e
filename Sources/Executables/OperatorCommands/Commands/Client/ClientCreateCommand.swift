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

    @OptionGroup var realm: ClientRealm

    @Option(help: "With --region: the tenant that the client acts for.")
    var institution: String?

    @Option(help: "What people call it. Default: the id.")
    var name: String?

    @Option(help: "SMART v2 scopes it may ask for at most. Default: system/*.cruds; of the region, system/*.rs.")
    var scope: String?

    @Option(name: .customLong("key-file"), help: "Where to write the key. Default: below the state directory.")
    var keyFile: String?

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        try await region.withAPI { api in
            let tenant = try await api.existingRealm(realm)
            let isRegion = tenant == ClientProfile.region
            guard isRegion == (institution != nil) else {
                throw CommandFailure(
                    .usage, isRegion ? "--region needs --institution." : "--institution goes with --region.")
            }
            if let institution { _ = try await api.existingTenant(institution) }
            let scope = scope ?? (isRegion ? PlatformAPI.regionScope : PlatformAPI.systemScope)
            let file = try await api.createClient(
                tenant: tenant, client: client, name: name ?? client, scope: scope, institution: institution,
                file: keyFile.map(StateDirectory.absolute))
            var value: [String: JSONValue] = [
                "id": .string(client), "tenant": .string(tenant), "scope": .string(scope), "keyFile": .string(file),
            ]
            var columns: [Renderer.Column] = [.init("client", "id"), .init("tenant", "tenant")]
            if let institution {
                value["institution"] = .string(institution)
                columns.append(.init("institution", "institution"))
            }
            columns += [.init("scope", "scope"), .init("key file", "keyFile")]
            Terminal.data(Renderer(format: format.output, columns: columns).object(.object(value)))
        }
    }
}
