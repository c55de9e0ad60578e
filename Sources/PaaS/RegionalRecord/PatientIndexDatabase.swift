import PostgresDriver
import TenantRegistry

/// The feeding side of the index and the locator in the region database.
struct PatientIndexDatabase: Sendable {
    let region: RegionDatabase

    /// A source patient as it is now.
    struct Source: Sendable {
        let id: String
        let version: Int32
        /// Nil when deleted. Systems and values; the system "" names a patient of the institution by `TENANT/ID`.
        let claims: [(system: String, value: String)]?
    }

    /// How many resources of a type a patient has.
    struct Holding: Sendable {
        /// Position in the patients that were counted.
        let patient: Int
        let type: String
        let count: Int64
        let lastChange: Int64
    }

    private static let beginStatement = PostgresStatement("select region.begin_feed($1, $2, $3)")

    /// - Returns: false when sources of another database of this tenant are to be forgotten first.
    func begin(_ tenant: String, source: String, token: Int64) async throws -> Bool {
        try await region.call(Self.beginStatement, [.text(tenant), .text(source), .int8(token)])[0].bool(0)
    }

    private static let applyStatement = PostgresStatement(
        "select region.apply_sources($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)")

    func apply(
        _ tenant: String, source: String, token: Int64, sources: [Source], counted: [String], holdings: [Holding]
    ) async throws {
        var claimSources: [Int32] = []
        var systems: [String?] = []
        var values: [String?] = []
        for (index, source) in sources.enumerated() {
            for claim in source.claims ?? [] {
                claimSources.append(Int32(index + 1))
                systems.append(claim.system)
                values.append(claim.value)
            }
        }
        try await region.call(
            Self.applyStatement,
            [
                .text(tenant), .text(source), .int8(token), .textArray(sources.map(\.id)),
                .int4Array(sources.map(\.version)), .boolArray(sources.map { $0.claims == nil }),
                .int4Array(claimSources), .textArray(systems), .textArray(values), .textArray(counted),
                .int4Array(holdings.map { Int32($0.patient + 1) }), .textArray(holdings.map(\.type)),
                .int8Array(holdings.map(\.count)), .timestamptzArray(holdings.map(\.lastChange)),
            ])
    }

    private static let beginRebuildStatement = PostgresStatement("select region.begin_rebuild($1, $2, $3)")
    private static let endRebuildStatement = PostgresStatement("select region.end_rebuild($1, $2, $3, 500)")

    func beginRebuild(_ tenant: String, source: String, token: Int64) async throws {
        try await region.call(Self.beginRebuildStatement, [.text(tenant), .text(source), .int8(token)])
    }

    /// Removes the sources that the rebuild did not meet.
    func endRebuild(_ tenant: String, source: String, token: Int64) async throws {
        let values: [PostgresValue] = [.text(tenant), .text(source), .int8(token)]
        while try await region.call(Self.endRebuildStatement, values)[0].int4(0) > 0 {}
    }

    private static let feedsStatement = PostgresStatement("select tenant, database from region.feeds('region')")

    /// The tenants whose sources the index holds, with the databases they came from.
    func feeds() async throws -> [(tenant: String, source: String)] {
        try await region.call(Self.feedsStatement, []).map { (try $0.string(0), try $0.string(1)) }
    }

    private static let forgetStatement = PostgresStatement("select region.forget_sources('region', $1, $2, 500)")

    func forget(_ tenant: String, source: String) async throws {
        while try await region.call(Self.forgetStatement, [.text(tenant), .text(source)])[0].int4(0) > 0 {}
    }
}
