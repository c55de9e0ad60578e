import ArgumentParser

/// `medcloud tenant …`
struct TenantCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tenant", abstract: "Make, show, export and delete tenants.",
        subcommands: [
            TenantCreateCommand.self, TenantListCommand.self, TenantShowCommand.self, TenantExportCommand.self,
            TenantDeleteCommand.self,
        ])

    static let columns: [Renderer.Column] = [
        .init("TENANT", "id"), .init("NAME", "name"), .init("KIND", "kind"), .init("STATE", "state"),
        .init("TIME ZONE", "timeZone"),
        .init("LANGUAGE", "language"), .init("CREATED", "createdAt"),
    ]
}
