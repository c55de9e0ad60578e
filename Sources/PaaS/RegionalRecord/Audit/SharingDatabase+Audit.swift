package import ClinicalData
import PostgresDriver

/// What a request to the region wanted, for its audit row.
package struct RegionalRequest: Sendable, Hashable {
    package let interaction: AuditInteraction
    package let type: ResourceType?
    package let resourceID: String?
    package let version: Int32?
    /// The query as it came, for searches and operations.
    package let query: String?

    package init(
        _ interaction: AuditInteraction, type: ResourceType? = nil, resourceID: String? = nil, version: Int32? = nil,
        query: String? = nil
    ) {
        self.interaction = interaction
        self.type = type
        self.resourceID = resourceID
        self.version = version
        self.query = query
    }

    var typeValue: PostgresValue { type.map { .int2($0.code) } ?? .null }
    var resourceValue: PostgresValue { resourceID.map { .text($0) } ?? .null }
    var queryValue: PostgresValue { query.map { .text($0) } ?? .null }
}

extension SharingDatabase {
    private static let recordStatement = PostgresStatement(
        "select region.record_request($1, $2, $3::\"char\", $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)")

    /// Whom a request is about, as it names them. Whether there is anybody by that name is found where it is recorded.
    package enum Mention: Sendable, Hashable {
        case patient(RegionID)
        /// Whose record one holder has.
        case record(RecordAlias)
        /// Whose consent it is.
        case consent(RegionID)
        /// Who has exactly this identifier, in the index's form.
        case identifier(system: String, value: String)

        /// The arguments patient, alias, consent, system and value; `nil` names nobody.
        fileprivate static func values(_ mention: Mention?) -> [PostgresValue] {
            switch mention {
            case nil: [.null, .null, .null, .null, .null]
            case .patient(let id): [.uuid(id.text), .null, .null, .null, .null]
            case .record(let alias): [.null, .text(alias.text), .null, .null, .null]
            case .consent(let id): [.null, .null, .uuid(id.text), .null, .null]
            case .identifier(let system, let value): [.null, .null, .null, .text(system), .text(value)]
            }
        }
    }

    /// Records a request that was refused before any decision.
    ///
    /// - Parameters:
    ///   - mention: whom it was about, when it names one.
    ///   - reason: the code of the refusal.
    package func recordRefusal(
        _ request: RegionalRequest, about mention: Mention?, reason: String, by asker: Asker
    ) async throws(RegionalRecordError) {
        _ = try await call(
            Self.recordStatement,
            asker.values + [
                .text(request.interaction.action), .int2(request.interaction.rawValue),
                .int2(AuditOutcome.minorFailure.rawValue), request.typeValue, request.resourceValue,
            ] + Mention.values(mention) + [request.queryValue, .text(reason)])
    }

    private static let logStatement = PostgresStatement(
        """
        select seq, recorded, action, interaction, outcome, client, practitioner, purpose, request_id, source, type,
            resource_id, version, patient, query, institution, reason, holders, consents
        from region.access_log($1, $2, $3, $4, $5, $6)
        """)

    /// The access log of a patient, newest first, one row more than `limit` when there are more. The reading is recorded.
    ///
    /// The caller has checked that the institution keeps the log on behalf of patients.
    ///
    /// - Parameter before: the last row's number of the page before.
    package func accessLog(
        of patient: RegionID, before: Int64?, limit: Int, query: String, by asker: Asker
    ) async throws(RegionalRecordError) -> [RegionalAuditRow] {
        let rows = try await call(
            Self.logStatement,
            asker.values + [
                .uuid(patient.text), before.map { .int8($0) } ?? .null, .int4(Int32(clamping: limit + 1)), .text(query),
            ])
        return try Self.read { () throws(PostgresError) in
            var events: [RegionalAuditRow] = []
            for row in rows { events.append(try RegionalAuditRow(row)) }
            return events
        }
    }

    // The function with no limit: the rows stay in the database.
    private static let countStatement = PostgresStatement(
        "select count(*) from region.access_log($1, $2, $3, null, null, $4)")

    /// How many rows the access log of a patient has. The counting is recorded, as the reading is.
    package func accessLogCount(
        of patient: RegionID, query: String, by asker: Asker
    ) async throws(RegionalRecordError) -> Int64 {
        let rows = try await call(Self.countStatement, asker.values + [.uuid(patient.text), .text(query)])
        return try Self.read { () throws(PostgresError) in try rows[0].int8(0) }
    }
}

/// One row of the region's audit log.
package struct RegionalAuditRow: Sendable {
    /// As a tenant's log has it; the patient is the region's.
    package let event: AuditRow
    package let crossing: AuditCrossing

    /// Columns: those of `AuditRow`, then institution, reason, holders, consents.
    init(_ row: PostgresRow) throws(PostgresError) {
        event = try AuditRow(row)
        crossing = AuditCrossing(
            institution: try row.string(15), holders: try row.textArray(17).compactMap(\.self),
            consents: try row.textArray(18).compactMap(\.self), reason: try row.optionalString(16))
    }
}
