package import ClinicalData
package import CloudModel
import PostgresDriver

/// A recorded decision that permits one crossing: the institution that asks may read one holder's record of one patient,
/// now, for this request. The one thing that opens another tenant's database to a reader.
///
/// It is made from a row of `region.decide` only, after that was committed. It is for the request at hand: nothing keeps it.
package struct SharingDecision: Sendable {
    package enum Reason: String, Sendable, Hashable {
        /// The institution reads what lies with itself.
        case ownRecord = "own-record"
        case consent
    }

    /// The row in `region.sharing_decision`.
    package let number: Int64
    package let reason: Reason
    /// The right to read the holder's database.
    package let access: TenantAccess
    /// The name of that database. The holder's may be another by now, of a tenant that was made again: the record is not there.
    package let database: String
    /// The patient's id there.
    package let patientID: String
    /// What the record is called outside of the holder.
    package let alias: RecordAlias
    /// The only types that may be read; nil = all.
    package let types: Set<ResourceType>?

    package var holder: TenantID { access.tenant }

    package func permits(_ type: ResourceType) -> Bool { types?.contains(type) ?? true }

    /// - Parameter types: from the row; nil = all.
    fileprivate init(
        number: Int64, reason: Reason, holder: TenantID, database: String, patientID: String, alias: RecordAlias,
        types: [Int16]?
    ) {
        self.number = number
        self.reason = reason
        access = TenantAccess(minting: holder, origin: .sharingDecision)
        self.database = database
        self.patientID = patientID
        self.alias = alias
        self.types = types.map { Set($0.compactMap { ResourceType[$0] }) }
    }
}

/// What was decided about a request for a patient's records.
package struct SharingOutcome: Sendable {
    /// The patient as the region knows them today: the survivor when the id that was asked for was merged into another.
    package let patient: RegionID
    /// Whether anything is permitted, be it to see that there is nothing.
    package let isPermitted: Bool
    /// The records that may be read, by holder.
    package let permits: [SharingDecision]
    /// How many institutions hold records that may not be read.
    package let withheld: Int
}

extension SharingDatabase {
    private static let decideStatement = PostgresStatement(
        """
        select patient::text, decision, permit, reason, holder, patient_id, alias, types, database
        from region.decide($1, $2, $3, $4, $5::"char", $6, $7, $8, $9, $10)
        """)

    /// What a decision is asked about.
    package enum Subject: Sendable, Hashable {
        case patient(RegionID)
        /// One holder's record of a patient.
        case record(RecordAlias)

        /// The arguments patient and alias of the function.
        fileprivate var values: [PostgresValue] {
            switch self {
            case .patient(let id): [.uuid(id.text), .null]
            case .record(let alias): [.null, .text(alias.text)]
            }
        }
    }

    /// Decides whose records may be read for a request, and records the decisions and the request.
    ///
    /// Evaluated in the database at this moment: a consent that was revoked before the call permits nothing.
    ///
    /// - Parameters:
    ///   - request: its type is what is asked for; nil = everything.
    ///   - asker: with practitioner and purpose.
    /// - Returns: nil when there is no such patient or record; that is recorded too.
    package func decide(
        on subject: Subject, for request: RegionalRequest, by asker: Asker
    ) async throws(RegionalRecordError) -> SharingOutcome? {
        let rows = try await call(
            Self.decideStatement,
            asker.values + subject.values + [
                .text(request.interaction.action), .int2(request.interaction.rawValue), request.typeValue,
                request.resourceValue, request.version.map { .int4($0) } ?? .null,
                request.queryValue,
            ])
        return try Self.read { () throws(PostgresError) in try SharingOutcome(rows) }
    }
}

extension SharingOutcome {
    /// The rows of `region.decide`; nil when there are none.
    fileprivate init?(_ rows: PostgresResult) throws(PostgresError) {
        guard let first = rows.first else { return nil }
        guard let patient = RegionID(try first.string(0)) else { throw PostgresError(.decoding, "not a patient's id") }
        var permits: [SharingDecision] = []
        var withheld: Set<String> = []
        var isPermitted = false
        for row in rows {
            let holder = try row.optionalString(4)
            guard try row.bool(2) else {
                if let holder { withheld.insert(holder) }
                continue
            }
            isPermitted = true
            guard let holder else { continue }
            guard let tenant = TenantID(holder), let alias = RecordAlias(try row.string(6)),
                let reason = SharingDecision.Reason(rawValue: try row.string(3))
            else { throw PostgresError(.decoding, "not a decision") }
            permits.append(
                SharingDecision(
                    number: try row.int8(1), reason: reason, holder: tenant, database: try row.string(8),
                    patientID: try row.string(5), alias: alias,
                    types: try row.isNull(7) ? nil : try row.int2Array(7)))
        }
        self.init(patient: patient, isPermitted: isPermitted, permits: permits, withheld: withheld.count)
    }
}
