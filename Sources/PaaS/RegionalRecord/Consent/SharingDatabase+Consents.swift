import ClinicalData
import CloudModel
package import NIOCore
import PostgresDriver

/// Which consents a search finds, and where its page begins.
package struct ConsentSearch: Sendable {
    package var patient: RegionID?
    package var status: ConsentTerms.Status?
    package var before: RecordVersion.Position?
    package var limit: Int

    package init(patient: RegionID?, status: ConsentTerms.Status?, before: RecordVersion.Position?, limit: Int) {
        self.patient = patient
        self.status = status
        self.before = before
        self.limit = limit
    }
}

extension SharingDatabase {
    private static let writeStatement = PostgresStatement(
        """
        select id::text, version, recorded_at, content
        from region.write_consent($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        """)

    /// Records a consent or a new version of one, with its audit row. When this returns, every decision that follows is
    /// made by it: a revocation has taken effect.
    ///
    /// - Parameters:
    ///   - creates: whether `id` is a new identity.
    ///   - expected: the version of `If-Match`; nil = any.
    ///   - databases: of ``ConsentTerms/grantees``; an inactive consent needs none.
    ///   - content: stored form.
    ///   - request: when the same request shall write once; its repetition gets what the first one wrote.
    /// - Throws: `unknown-patient`, `patient-changed`, `unknown-consent`, `version-conflict`, `illegal-transition`,
    ///   `key-reused`.
    package func write(
        _ terms: ConsentTerms, id: RegionID, creates: Bool, expected: Int32?, databases: [String], content: ByteBuffer,
        request: RepeatableRequest?, by asker: Asker
    ) async throws(RegionalRecordError) -> RecordVersion {
        let values: [PostgresValue] = [
            .uuid(id.text), .bool(creates), .int4(expected ?? 0), .uuid(terms.patient.text),
            .text(terms.status.rawValue), .bool(terms.permits), .textArray(terms.grantees.map(\.rawValue)),
            .textArray(databases), .textArray(terms.purposes),
            terms.types.map { .int2Array($0.map(\.code)) } ?? .null, .timestamptz(terms.starts),
            .timestamptz(terms.ends), .utf8(content),
        ]
        let repeatable = request?.values ?? [.null, .null, .null]
        let rows = try await call(Self.writeStatement, asker.values + values + repeatable)
        guard let record = try Self.records(rows).first else { throw RegionalRecordError(.failed) }
        return record
    }

    private static let writtenStatement = PostgresStatement(
        "select id::text, version, recorded_at, content from region.written_consent($1, $2, $3, $4, $5)")

    /// What the same request wrote before; nil when it did not.
    ///
    /// - Throws: `key-reused`.
    package func written(
        by request: RepeatableRequest, by asker: Asker
    ) async throws(RegionalRecordError) -> RecordVersion? {
        try Self.records(try await call(Self.writtenStatement, asker.values + request.values)).first
    }

    private static let consentsStatement = PostgresStatement(
        """
        select id::text, version, recorded_at, content
        from region.consents($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """)

    /// The current version of a consent that the asker's institution recorded; nil when there is none. Recorded.
    package func consent(_ id: RegionID, by asker: Asker) async throws(RegionalRecordError) -> RecordVersion? {
        let rows = try await call(
            Self.consentsStatement,
            asker.values + [.uuid(id.text), .null, .null, .null, .null, .int4(1), .null])
        return try Self.records(rows).first
    }

    /// The consents that the asker's institution recorded, newest first, one more than the limit when there are more.
    /// Recorded.
    package func consents(
        _ search: ConsentSearch, query: String, by asker: Asker
    ) async throws(RegionalRecordError) -> [RecordVersion] {
        let rows = try await call(
            Self.consentsStatement,
            asker.values + [
                .null, search.patient.map { .uuid($0.text) } ?? .null,
                search.status.map { .text($0.rawValue) } ?? .null,
                search.before.map { .timestamptz($0.recordedAt) } ?? .null,
                search.before.map { .uuid($0.id.text) } ?? .null, .int4(Int32(clamping: search.limit + 1)),
                .text(query),
            ])
        return try Self.records(rows)
    }

    // The function with no limit: the rows stay in the database.
    private static let countStatement = PostgresStatement(
        "select count(*) from region.consents($1, $2, null, $3, $4, null, null, null, $5)")

    /// How many consents a search finds, wherever its page begins. Recorded.
    package func count(
        _ search: ConsentSearch, query: String, by asker: Asker
    ) async throws(RegionalRecordError) -> Int64 {
        let rows = try await call(
            Self.countStatement,
            asker.values + [
                search.patient.map { .uuid($0.text) } ?? .null, search.status.map { .text($0.rawValue) } ?? .null,
                .text(query),
            ])
        return try Self.read { () throws(PostgresError) in try rows[0].int8(0) }
    }

    private static func records(_ rows: PostgresResult) throws(RegionalRecordError) -> [RecordVersion] {
        try read { () throws(PostgresError) in try RecordVersion.current(rows) }
    }

    private static let versionsStatement = PostgresStatement(
        "select version, recorded_at, method, content from region.consent_versions($1, $2, $3, $4)")

    /// The versions of a consent, newest first, or one of them. Recorded.
    package func versions(
        of id: RegionID, version: Int32?, by asker: Asker
    ) async throws(RegionalRecordError) -> [RecordVersion] {
        let rows = try await call(
            Self.versionsStatement, asker.values + [.uuid(id.text), version.map { .int4($0) } ?? .null])
        return try Self.read { () throws(PostgresError) in try RecordVersion.history(of: id, rows) }
    }
}
