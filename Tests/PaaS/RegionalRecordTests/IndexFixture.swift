import PostgresDriver
import TenantRegistry
import TestSupport

/// Institutions that feed the index of the test process's region. Each test has names and identifiers of its own.
struct IndexFixture: Sendable {
    let region: RegionDatabase
    private let mark: String

    init() async throws {
        let shared = try await TestRegion.shared
        region = shared.regionDatabase(maximumConnections: 8)
        mark = shared.newTenantName()
    }

    func tenant(_ name: String) -> String { "\(mark)\(name)" }
    /// Of a tenant that was made for the first, the second … time.
    func database(_ name: String, _ life: Int = 1) -> String { "t_\(tenant(name))_\(life)" }
    func identifier(_ value: String) -> String { "\(mark)-\(value)" }

    private static let beginFeed = PostgresStatement("select region.begin_feed($1, $2, $3)")

    /// - Returns: false when another database's sources are to be removed first.
    @discardableResult
    func begin(_ name: String, life: Int = 1, token: Int64 = 1) async throws -> Bool {
        try await region.call(Self.beginFeed, [.text(tenant(name)), .text(database(name, life)), .int8(token)])[0].bool(
            0)
    }

    private static let applySources = PostgresStatement(
        "select region.apply_sources($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)")

    /// One version of one source patient with the identifiers it states; nil is a deleted one. `replacedBy` is another
    /// source of the institution.
    func state(
        _ name: String, _ id: String, _ values: [String]?, version: Int32 = 1, replacedBy: String? = nil,
        life: Int = 1, token: Int64 = 1
    ) async throws {
        var systems = values?.map { _ in "urn:test:id" } ?? []
        var stated = values?.map(identifier) ?? []
        if let replacedBy {
            systems.append("")
            stated.append("\(tenant(name))/\(replacedBy)")
        }
        try await region.call(
            Self.applySources,
            [
                .text(tenant(name)), .text(database(name, life)), .int8(token), .textArray([id]), .int4Array([version]),
                .boolArray([values == nil]), .int4Array(systems.map { _ in 1 }), .textArray(systems),
                .textArray(stated), .textArray([]), .int4Array([]), .textArray([]), .int8Array([]),
                .timestamptzArray([]),
            ])
    }

    func count(
        _ name: String, _ id: String, _ types: [String], _ counts: [Int64], life: Int = 1, token: Int64 = 1
    ) async throws {
        try await region.call(
            Self.applySources,
            [
                .text(tenant(name)), .text(database(name, life)), .int8(token), .textArray([]), .int4Array([]),
                .boolArray([]),
                .int4Array([]), .textArray([]), .textArray([]), .textArray([id]), .int4Array(types.map { _ in 1 }),
                .textArray(types.map { $0 }), .int8Array(counts), .timestamptzArray(types.map { _ in 1_000_000 }),
            ])
    }

    private static let findPatient = PostgresStatement("select patient from region.find_patient('region', $1, $2)")

    func find(_ value: String) async throws -> String? {
        try await region.call(Self.findPatient, [.text("urn:test:id"), .text(identifier(value))]).first?.string(0)
    }

    private static let holdersStatement = PostgresStatement(
        "select tenant, patient_id, types, counts from region.holders('region', $1)")

    /// The sources of a person as `NAME/ID`, and after a colon what they hold: `a/1:Observation=3`.
    func holders(_ patient: String?) async throws -> [String] {
        guard let patient else { return [] }
        return try await region.call(Self.holdersStatement, [.uuid(patient)]).map { row in
            let held = zip(try row.textArray(2), try row.int8Array(3)).map { "\($0 ?? "")=\($1)" }
            let source = "\(try row.string(0).dropFirst(mark.count))/\(try row.string(1))"
            return held.isEmpty ? source : source + ":" + held.joined(separator: ",")
        }
    }

    private static let candidatesStatement = PostgresStatement(
        "select tenant, patient_id, patient, other from region.match_candidates('region', 10000)")

    /// The open conflicts of this test as `NAME/ID`.
    func candidates() async throws -> [String] {
        try await region.call(Self.candidatesStatement, []).compactMap { row in
            let name = try row.string(0)
            guard name.hasPrefix(mark), name.dropFirst(mark.count).first?.isLetter == true else { return nil }
            return "\(name.dropFirst(mark.count))/\(try row.string(1))"
        }
    }

    private static let currentStatement = PostgresStatement("select patient from region.current_patient('region', $1)")

    func current(_ patient: String?) async throws -> String? {
        guard let patient else { return nil }
        return try await region.call(Self.currentStatement, [.uuid(patient)]).first?.string(0)
    }

    private static let endRebuild = PostgresStatement("select region.end_rebuild($1, $2, $3, 100)")
    private static let beginRebuild = PostgresStatement("select region.begin_rebuild($1, $2, $3)")

    /// Hears everything again: `body` feeds, and what it leaves out is removed.
    func rebuild(_ name: String, _ body: () async throws -> Void) async throws {
        try await region.call(Self.beginRebuild, [.text(tenant(name)), .text(database(name)), .int8(1)])
        try await body()
        while try await region.call(Self.endRebuild, [.text(tenant(name)), .text(database(name)), .int8(1)])[0].int4(0)
            > 0
        {}
    }

    private static let forget = PostgresStatement("select region.forget_sources('region', $1, $2, 100)")

    func forget(_ name: String, life: Int = 1) async throws {
        while try await region.call(Self.forget, [.text(tenant(name)), .text(database(name, life))])[0].int4(0) > 0 {}
    }
}
