import ArgumentParser

/// `medcloud tenant show`
struct TenantShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one tenant.")

    @Argument(help: "The tenant.")
    var id: String

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let tenant = try await region.withAPI { api in
            try await api.existingTenant(id)
        }
        let columns: [Renderer.Column] = [
            .init("tenant", "id"), .init("name", "name"), .init("state", "state"), .init("error", "error"),
            .init("time zone", "timeZone"), .init("language", "language"), .init("created", "createdAt"),
            .init("FHIR base", "fhirBase"), .init("tokens", "tokenEndpoint"),
        ]
        Terminal.data(Renderer(format: format.output, columns: columns).object(tenant))
    }
}
