import ArgumentParser

/// `medcloud drift`
struct DriftCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drift", abstract: "Show where machines are not as they were asked for, and what no row names.",
        discussion: """
            What a tenant's policy repairs is shown while it is being repaired. An orphan is a machine, network, volume, \
            database or role of the region that nothing in it asks for; `medcloud doctor` says what to do about it.
            """)

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    private static let columns: [Renderer.Column] = [
        .init("TENANT", "tenant"), .init("NAME", "name"), .init("KIND", "kind"), .init("EXPECTED", "expected"),
        .init("FOUND", "found"), .init("ACTION", "action"), .init("SINCE", "since"),
    ]

    func run() async throws {
        let drift = try await region.withAPI { api in
            try await api.drift()
        }
        Terminal.data(Renderer(format: format.output, columns: Self.columns, name: "name").list(drift))
    }
}
