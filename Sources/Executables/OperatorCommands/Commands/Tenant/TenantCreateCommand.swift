import ArgumentParser
import CloudModel

/// `medcloud tenant create`
struct TenantCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a tenant: its own database, FHIR base and first client.",
        discussion: """
            The client ID-system may do everything in the tenant's records. Its private key is written to a file of mode \
            0600 below the state directory and shown nowhere.
            """)

    @Argument(help: "The tenant's name in addresses, such as h1.")
    var id: String

    @Option(help: "What people call it.")
    var name: String

    @Option(name: .customLong("time-zone"), help: "An IANA time zone, such as Europe/Berlin.")
    var timeZone: String

    @Option(help: "A BCP 47 language tag, such as de or zh-Hans.")
    var language: String

    @Option(help: "What it is: bureau, hospital, clinic, pharmacy, or partner, which has no FHIR base.")
    var kind = "hospital"

    @Option(help: "A label KEY=VALUE; may be given several times.")
    var label: [String] = []

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        try TenantRules.checkID(id)
        try TenantRules.checkTimeZone(timeZone)
        try TenantRules.checkLanguage(language)
        guard !name.isEmpty else { throw CommandFailure(.usage, "--name may not be empty.") }
        try TenantRules.checkKind(kind)
        let draft = TenantDraft(
            id: id, name: name, timeZone: timeZone, language: language, kind: kind,
            labels: try TenantRules.labels(label))
        let progress = Progress()
        try await region.withAPI { api in
            progress.step("making the tenant \(id)")
            let operation = try await api.createTenant(draft)
            try await OperationProgress(progress).follow(operation, of: api)
            let tenant = try await api.waitUntilReady(id)
            let file = try await api.ensureDefaultClient(of: id)
            progress.step("ready; the key of client \(id)-system is in \(file)")
            guard case .object(var members) = tenant else { return }
            members["clientID"] = .string("\(id)-system")
            members["keyFile"] = .string(file)
            let columns: [Renderer.Column] = [
                .init("tenant", "id"), .init("state", "state"), .init("FHIR base", "fhirBase"),
                .init("client", "clientID"), .init("key file", "keyFile"),
            ]
            Terminal.data(Renderer(format: format.output, columns: columns).object(.object(members)))
        }
    }
}
