import ArgumentParser

/// `medcloud tenant show`
struct TenantShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one tenant.")

    @Argument(help: "The tenant.")
    var id: String

    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let tenant = try await RegionConnection.with { connection in
            try await PlatformAPI(connection: connection, state: region.state).existingTenant(id)
        }
        let columns: [Renderer.Column] = [
            .init("tenant", "id"), .init("name", "name"), .init("state", "state"), .init("error", "error"),
            .init("time zone", "timeZone"), .init("language", "language"), .init("created", "createdAt"),
            .init("FHIR base", "fhirBase"), .init("tokens", "tokenEndpoint"),
        ]
        Terminal.data(Renderer(format: format.output, columns: columns).object(tenant))
    }
}
