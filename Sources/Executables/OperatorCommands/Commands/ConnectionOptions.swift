import ArgumentParser
import CloudModel

/// Which region a command speaks to, and by whose word it believes that it is this region.
struct ConnectionOptions: ParsableArguments {
    @OptionGroup var region: RegionOptions

    @Option(
        name: .customLong("ca-file"),
        help: """
            PEM certificates of the authorities that may vouch for the region. Default: MEDCLOUD_CA_FILE, else what the \
            profile names, else the system's.
            """)
    var authorities: String?

    var state: RegionState { region.state }

    /// What `--ca-file` or `MEDCLOUD_CA_FILE` names, as an absolute path.
    var ownAuthorities: String? {
        let variable = Environment.current["MEDCLOUD_CA_FILE"].flatMap { $0.isEmpty ? nil : $0 }
        return (authorities ?? variable).map(StateDirectory.absolute)
    }

    /// Gives `body` a connection and closes it afterwards.
    /// - Parameter named: the authorities that the file names from which the address comes.
    func connect<Result: Sendable>(
        trusting named: String?, _ body: (RegionConnection) async throws -> Result
    ) async throws -> Result {
        try await RegionConnection.with(trust: Trust(ownAuthorities ?? named), body)
    }

    /// Gives `body` the platform API, as the operator of the profile in the state directory.
    func withAPI<Result: Sendable>(_ body: (PlatformAPI) async throws -> Result) async throws -> Result {
        let profile = try OperatorProfile.read(state.operatorProfile)
        return try await connect(trusting: profile.caFile) { connection in
            try await body(PlatformAPI(connection: connection, state: state, profile: profile))
        }
    }
}
