import ClinicalData
import CloudHTTP
import CloudIdentity
import ModuleKit
import RegionalRecord

/// `AuditEvent?patient=ID`: who asked for a patient's records, and what became of it. For the bureau's clients, on behalf of
/// the patient.
struct AccessLogInteraction: Sendable {
    let exchange: SharingExchange

    func search() async throws -> ModuleResponse {
        let patient = try exchange.patientParameter()
        let request = RegionalRequest(.searchType, type: .auditEvent, query: exchange.queryText)
        let mention = patient.map { SharingDatabase.Mention.patient($0) }
        try await exchange.require(.search, on: .auditEvent, for: request, about: mention)
        try await exchange.requireBureau(for: request, about: mention)
        try exchange.checkParameters(["patient", "_count", "_cursor"])
        guard let patient else {
            throw Problem.parameter("patient", "It is required: the log is read one patient at a time.")
        }
        let count = try exchange.count(default: 50, maximum: 1000)
        let before = try exchange.cursor("AuditEvent").map { text throws(Problem) in
            guard let before = Int64(text) else { throw .badCursor }
            return before
        }
        if count == 0 {
            let total = try await exchange.services.region.accessLogCount(
                of: patient, query: exchange.queryText, by: exchange.asker)
            return exchange.counted(total, .auditEvent)
        }
        let rows = try await exchange.services.region.accessLog(
            of: patient, before: before, limit: count, query: exchange.queryText, by: exchange.asker)
        var bundle = SharedBundle(base: exchange.base, capacity: 2048 * min(rows.count, count))
        bundle.link("self", exchange.url("AuditEvent", cursor: before.map { String($0) }))
        if rows.count > count {
            bundle.link("next", exchange.url("AuditEvent", cursor: String(rows[count - 1].event.sequence)))
        }
        let renderer = AuditEventRenderer(baseURL: exchange.base)
        for row in rows.prefix(count) {
            bundle.add("AuditEvent/" + row.event.id, resource: renderer.render(row.event, crossing: row.crossing))
        }
        return bundle.response()
    }
}
