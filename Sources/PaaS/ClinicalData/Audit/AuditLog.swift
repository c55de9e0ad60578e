package import PostgresDriver

/// One thing to record that no store statement records by itself: a search, a refusal, a read that the caller judges.
package struct AuditEntry: Sendable, Hashable {
    package let interaction: AuditInteraction
    package let outcome: AuditOutcome
    package let type: ResourceType?
    package let resourceID: String?
    /// The version that was asked for.
    package let version: Int32?
    /// The id of the patient that the search or refusal is about, when the request itself names one.
    package let patient: String?
    /// The query as it came, for searches.
    package let query: String?

    package init(
        _ interaction: AuditInteraction, outcome: AuditOutcome = .success, type: ResourceType? = nil,
        resourceID: String? = nil, version: Int32? = nil, patient: String? = nil, query: String? = nil
    ) {
        self.interaction = interaction
        self.outcome = outcome
        self.type = type
        self.resourceID = resourceID
        self.version = version
        self.patient = patient
        self.query = query
    }
}

extension AuditEntry {
    /// Who the entry is about: what is asked of a Patient is about that patient, also when it is refused or not found.
    var subject: String? { patient ?? (type?.isPatient == true ? resourceID : nil) }
}

extension ResourceType {
    var isPatient: Bool { name == "Patient" }

    /// SQL that tells the patient of an access to `id` when the resource itself tells none.
    static func patient(of id: String, type: String) -> String {
        "case when \(type) = \(ResourceType.named("Patient")?.code ?? 0) then \(id) end"
    }
}

/// Appends audit rows and reads single ones back.
package struct AuditLog: Sendable {
    package init() {}

    /// Commits the rows before it returns when `runner` is a pool; within a transaction, with it.
    package func record(
        _ entries: [AuditEntry], _ audit: AuditContext, on runner: some StatementRunner
    ) async throws {
        guard !entries.isEmpty else { return }
        _ = try await runner.run(
            Self.insert,
            [
                .textArray(entries.map(\.interaction.action)), .int2Array(entries.map(\.interaction.rawValue)),
                .int2Array(entries.map(\.outcome.rawValue)), .int2Array(entries.map { $0.type?.code ?? 0 }),
                .textArray(entries.map(\.resourceID)), .int4Array(entries.map { $0.version ?? 0 }),
                .textArray(entries.map(\.subject)), .textArray(entries.map(\.query)),
            ] + audit.values)
    }

    /// The event with this id (`audit-7`); nil when there is none.
    package func event(id: String, on runner: some StatementRunner) async throws -> AuditRow? {
        guard let sequence = AuditRow.sequence(ofID: id) else { return nil }
        return try await runner.run(Self.select, [.int8(sequence)]).first.map { try AuditRow($0) }
    }

    private static let insert = PostgresStatement(
        """
        insert into audit.event (action, interaction, outcome, type, resource_id, version, patient, query, client,
            practitioner, purpose, request_id, source, origin)
        select e.action::"char", e.interaction, e.outcome, nullif(e.type, 0), e.resource_id, nullif(e.version, 0),
            e.patient, e.query, $9, $10, $11, $12, $13, $14
        from unnest($1, $2, $3, $4, $5, $6, $7, $8)
            as e(action, interaction, outcome, type, resource_id, version, patient, query)
        """)

    private static let select = PostgresStatement(
        """
        select \(AuditRow.columns) from audit.event e where e.seq = $1
        union all
        select \(AuditRow.columns) from audit.read_event e where e.batch = \(AuditRow.batch(of: "$1")) and e.seq = $1
        """)
}

/// One compact row of `audit.event`, or one read of `audit.read_batch` as `audit.read_event` shows it.
package struct AuditRow: Sendable, Hashable {
    package let sequence: Int64
    /// Microseconds since 1970.
    package let recorded: Int64
    package let action: String
    package let interaction: AuditInteraction?
    package let outcome: Int16
    package let client: String
    package let practitioner: String?
    package let purpose: String?
    package let requestID: String?
    package let source: String?
    package let type: ResourceType?
    package let resourceID: String?
    package let version: Int32?
    package let patient: String?
    package let query: String?

    /// The columns that ``init(_:)`` reads, of a row `e` of audit.event or audit.read_event.
    package static let columns = """
        e.seq, e.recorded, e.action::text, e.interaction, e.outcome, e.client, e.practitioner, e.purpose, e.request_id, \
        e.source, e.type, e.resource_id, e.version, e.patient, e.query
        """

    package init(_ row: PostgresRow) throws(PostgresError) {
        sequence = try row.int8(0)
        recorded = try row.timestamptz(1)
        action = try row.string(2)
        interaction = AuditInteraction(rawValue: try row.int2(3))
        outcome = try row.int2(4)
        client = try row.string(5)
        practitioner = try row.optionalString(6)
        purpose = try row.optionalString(7)
        requestID = try row.optionalString(8)
        source = try row.optionalString(9)
        type = try row.optionalInt2(10).flatMap { ResourceType[$0] }
        resourceID = try row.optionalString(11)
        version = try row.optionalInt4(12)
        patient = try row.optionalString(13)
        query = try row.optionalString(14)
    }

    /// The logical id of the AuditEvent.
    package var id: String { "audit-\(sequence)" }

    /// The number of the batch in which a read has the number `sequence`, in SQL: batches begin at multiples of 64.
    static func batch(of sequence: String) -> String { "(\(sequence)::int8 & -64)" }

    /// The row's number in an id of ours; nil for any other id.
    package static func sequence(ofID id: String) -> Int64? {
        guard id.hasPrefix("audit-"), let sequence = Int64(id.dropFirst(6)), sequence > 0, id == "audit-\(sequence)"
        else { return nil }
        return sequence
    }
}
