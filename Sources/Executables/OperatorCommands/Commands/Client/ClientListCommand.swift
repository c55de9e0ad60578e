import ArgumentParser

/// `medcloud client list`
struct ClientListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the clients of a tenant or of the region.")

    @OptionGroup var realm: ClientRealm

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let clients = try await region.withAPI { api in
            return try await api.clients(of: try await api.existingRealm(realm))
        }
        var columns: [Renderer.Column] = [
            .init("CLIENT", "id"), .init("NAME", "name"), .init("KIND", "kind"), .init("SCOPE", "scope"),
            .init("DISABLED", "isDisabled"), .init("CREATED", "createdAt"),
        ]
        if try realm.name == ClientProfile.region { columns.insert(.init("INSTITUTION", "institution"), at: 3) }
        Terminal.data(Renderer(format: format.output, columns: columns).list(clients))
    }
}
