import ArgumentParser
import CloudModel

/// `medcloud token`
struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Get an access token, for curl and the like.",
        discussion: """
            curl -H "Authorization: Bearer $(medcloud token --tenant h1)" http://127.0.0.1:8080/t/h1/fhir/Patient
            """)

    @Option(help: "The tenant; without it, the operator's token for the platform API.")
    var tenant: String?

    @Flag(name: .customLong("region"), help: "For the region's FHIR base, with --client; the same as --tenant region.")
    var ofRegion = false

    @Option(help: "The client whose key is used. Default: TENANT-system.")
    var client: String?

    @Option(help: "The scopes to ask for. Default: all that the client was made with.")
    var scope: String?

    @Option(help: "On whose behalf: a reference such as Practitioner/17. Audited.")
    var practitioner: String?

    @Option(help: "For what: a code of v3 PurposeOfUse, such as TREAT. Audited.")
    var purpose: String?

    @Option(name: .customLong("key-file"), help: "A client's key file, instead of the one below the state directory.")
    var keyFile: String?

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let state = region.state
        let token: AccessToken
        if let profile = try clientProfile(state) {
            token = try await region.connect(trusting: profile.caFile) { connection in
                try await connection.token(
                    clientID: profile.clientID, key: profile.privateKey, tokenURL: profile.tokenURL,
                    scope: scope ?? profile.scope, practitioner: practitioner, purpose: purpose)
            }
        } else {
            let profile = try OperatorProfile.read(state.operatorProfile)
            token = try await region.connect(trusting: profile.caFile) { connection in
                try await connection.token(
                    clientID: profile.clientID, key: profile.privateKey,
                    tokenURL: profile.baseURL + "/region/oauth2/token", scope: scope ?? "")
            }
        }
        switch format.output {
        case .table, .name: Terminal.data(token.value)
        case .json, .yaml: Terminal.data(Renderer(format: format.output, columns: []).object(token.answer))
        }
    }

    private func clientProfile(_ state: RegionState) throws -> ClientProfile? {
        if let keyFile { return try ClientProfile.read(StateDirectory.absolute(keyFile)) }
        guard let tenant = try ClientRealm.named(tenant, isRegion: ofRegion) else {
            guard client == nil else { throw CommandFailure(.usage, "--client needs --tenant or --region.") }
            return nil
        }
        guard tenant != ClientProfile.region || client != nil else {
            throw CommandFailure(.usage, "The region has no client of its own: name one with --client.")
        }
        return try FHIRClient.profile(state: state, tenant: tenant, client: client)
    }
}
