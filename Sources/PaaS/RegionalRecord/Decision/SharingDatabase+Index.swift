import PostgresDriver

extension SharingDatabase {
    private static let lookUpStatement = PostgresStatement(
        "select patient::text from region.look_up($1, $2, $3, $4, $5)")

    /// The patient with an exact identifier, or nil. That somebody looked is recorded.
    package func lookUp(
        system: String, value: String, query: String, by asker: Asker
    ) async throws(RegionalRecordError) -> RegionID? {
        let rows = try await call(
            Self.lookUpStatement, asker.values + [.text(system), .text(value), .text(query)])
        return try Self.read { () throws(PostgresError) in
            guard let row = rows.first else { return nil }
            return RegionID(try row.string(0))
        }
    }
}
