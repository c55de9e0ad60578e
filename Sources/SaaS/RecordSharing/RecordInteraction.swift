import ClinicalData
import CloudHTTP
import CloudIdentity
import HTTPTypes
import ModuleKit
import NIOCore
import PostgresDriver
import RegionalRecord
import StrictJSON

/// The resources of holders, one by one or searched by type.
struct RecordInteraction: Sendable {
    let exchange: SharingExchange

    private var reading: HolderReading { HolderReading(exchange: exchange) }

    // MARK: Search

    /// `Type?patient=ID&…`: a search among what is about the patient, over all holders that may be read. References, chains and
    /// includes could lead out of it, so they are refused.
    func search(_ type: ResourceType) async throws -> ModuleResponse {
        guard exchange.isAboutPatients(type) else { throw Problem.nothingShared }
        let names = ["patient", "subject"]
        let patient = try exchange.patientParameter(names)
        let request = RegionalRequest(.searchType, type: type, query: exchange.queryText)
        try await exchange.require(.search, on: type, for: request, about: patient.map { .patient($0) })
        try exchange.checkFormat()
        guard let patient else {
            throw Problem.parameter("patient", "It is required: one patient's records are searched at a time.")
        }
        let parameters = try parameters(of: type, besides: names)
        let count = try exchange.count(default: 50, maximum: 1000)
        _ = try exchange.cursor(type.name)
        try checkValues(type, parameters)
        let outcome = try await exchange.decide(on: patient, for: request)
        let merged = MergedReading(
            exchange: exchange, outcome: outcome, path: type.name, type: type, types: nil, parameters: parameters,
            interaction: .searchType)
        if exchange.query.first("_summary") == "count" || count == 0 { return try await merged.count() }
        return try await merged.page(count: count)
    }

    /// What of the query goes to the holders.
    private func parameters(
        of type: ResourceType, besides names: [String]
    ) throws(Problem) -> [(name: String, value: String)] {
        var passed: [(name: String, value: String)] = []
        for parameter in exchange.query.parameters where !names.contains(parameter.name) {
            switch parameter.name {
            case "_format", "_pretty", "_count", "_cursor": continue
            case "_summary", "_elements": passed.append((parameter.name, parameter.value))
            default:
                let name = String(parameter.name.prefix { $0 != ":" && $0 != "." })
                let isColumn = name == "_lastUpdated"
                guard !parameter.name.contains("."),
                    isColumn
                        || exchange.services.definitions.parameter(type, name).map({ $0.kind != .reference }) == true
                else {
                    throw .unknownParameter(
                        parameter.name,
                        "It is not served across institutions. Valid: patient, the parameters of \(type.name) that are no "
                            + "references, _lastUpdated, _count, _summary, _elements.")
                }
                passed.append((parameter.name, parameter.value))
            }
        }
        return passed
    }

    /// Refuses values that no holder would take before anything is decided.
    private func checkValues(
        _ type: ResourceType, _ parameters: [(name: String, value: String)]
    ) throws(Problem) {
        do {
            _ = try exchange.services.search.plan(
                SearchRequest(
                    type: type, compartment: SearchRequest.Compartment(type: .patient, id: "x"), parameters: parameters),
                allowedTypes: { _ in true })
        } catch {
            throw Problem(error)
        }
    }

    // MARK: Read

    /// The current version.
    func read(_ type: ResourceType, _ id: SharedID) async throws -> ModuleResponse {
        try exchange.checkParameters([])
        let request = RegionalRequest(.read, type: type, resourceID: id.text)
        try await exchange.require(.read, on: type, for: request, about: .record(id.alias))
        let (outcome, decision) = try await exchange.decide(on: id.alias, for: request)
        let reading = reading
        let part = try await reading.one(decision) { decision, connection in
            let found = try await current(type, id, decision, on: connection)
            try await reading.record(
                AuditEntry(
                    .read, outcome: found == nil ? .minorFailure : .success, type: type, resourceID: id.localID,
                    patient: decision.patientID), of: decision, on: connection)
            return found
        }
        guard let found = try Self.value(part) else { throw Problem.nothingShared }
        let bytes = try reading.rewriter(decision, patient: outcome.patient).rewritten(found.bytes)
        var response = ModuleResponse.resource(
            ByteBuffer(bytes: bytes), version: found.version, lastUpdated: found.lastUpdated)
        if isKnown(version: found.version, lastUpdated: found.lastUpdated) {
            response.status = .notModified
            response.body = ByteBuffer()
        }
        return response
    }

    /// Whether the client has this version already (RFC 9110 §13.2.2: tags before dates).
    private func isKnown(version: Int32, lastUpdated: Int64) -> Bool {
        if let text = exchange.headers[.ifNoneMatch] {
            return EntityTagCondition(parsing: text)?.matches(version: version) ?? false
        }
        guard let since = exchange.headers[.ifModifiedSince].flatMap({ HTTPDate.parse($0) }) else { return false }
        return lastUpdated / 1_000_000 <= since
    }

    /// The current version if it belongs to the decision's patient now.
    private func current(
        _ type: ResourceType, _ id: SharedID, _ decision: SharingDecision, on connection: PostgresConnection
    ) async throws -> SearchMatches.Match? {
        guard exchange.isAboutPatients(type) else { return nil }
        guard let plan = try reading.plan(type, [("_id", id.localID), ("_count", "1")], for: decision) else {
            return nil
        }
        return try await exchange.services.search.page(plan, on: connection, tenant: decision.holder).matches.first
    }

    private static func value<Value>(_ part: HolderReading.Part<Value>) throws(Problem) -> Value {
        guard case .answer(let value) = part else { throw Problem(.holderUnavailable, retryAfter: 1) }
        return value
    }

    // MARK: Versions

    /// One version, if the resource belongs to the patient now and that version did too.
    func readVersion(_ type: ResourceType, _ id: SharedID, version text: String) async throws -> ModuleResponse {
        try exchange.checkParameters([])
        guard let version = Int32(text), version > 0, String(version) == text else { throw Problem.nothingShared }
        let request = RegionalRequest(.vread, type: type, resourceID: id.text, version: version)
        try await exchange.require(.read, on: type, for: request, about: .record(id.alias))
        let (outcome, decision) = try await exchange.decide(on: id.alias, for: request)
        let reading = reading
        let part = try await reading.one(decision) { decision, connection -> StoredResource? in
            var found: StoredResource?
            if try await current(type, id, decision, on: connection) != nil {
                found = try await exchange.services.store.version(version, of: type, id: id.localID, on: connection)
            }
            if let judged = found, try !isOfPatient(judged, decision) { found = nil }
            try await reading.record(
                AuditEntry(
                    .vread, outcome: found == nil ? .minorFailure : .success, type: type, resourceID: id.localID,
                    version: version, patient: decision.patientID), of: decision, on: connection)
            return found
        }
        guard let found = try Self.value(part) else { throw Problem.nothingShared }
        let bytes = try reading.rewriter(decision, patient: outcome.patient)
            .rewritten(Array(found.bytes.readableBytesView))
        return .resource(ByteBuffer(bytes: bytes), version: found.version, lastUpdated: found.lastUpdated)
    }

    /// The versions of a resource that belongs to the patient now, without those of another patient's.
    func versions(_ type: ResourceType, _ id: SharedID) async throws -> ModuleResponse {
        try exchange.checkParameters(["_count", "_cursor"])
        let count = max(1, try exchange.count(default: 50, maximum: 1000))
        let path = "\(type.name)/\(id.text)"
        let position = try exchange.cursor(path + "/_history").map { text throws(Problem) in
            guard let position = Int64(text) else { throw .badCursor }
            return position
        }
        let request = RegionalRequest(.historyInstance, type: type, resourceID: id.text)
        try await exchange.require(.read, on: type, for: request, about: .record(id.alias))
        let (outcome, decision) = try await exchange.decide(on: id.alias, for: request)
        let reading = reading
        let part = try await reading.one(decision) { decision, connection -> HistoryPage? in
            guard try await current(type, id, decision, on: connection) != nil else {
                try await reading.record(
                    AuditEntry(
                        .historyInstance, outcome: .minorFailure, type: type, resourceID: id.localID,
                        patient: decision.patientID), of: decision, on: connection)
                return nil
            }
            return try await exchange.services.store.history(
                of: .instance(type, id: id.localID), count: count, in: HistoryPeriod(), position: position,
                audit: reading.audit(decision), patient: decision.patientID, on: connection)
        }
        guard let page = try Self.value(part), page.exists else { throw Problem.nothingShared }
        let rewriter = reading.rewriter(decision, patient: outcome.patient)
        var bundle = SharedBundle(type: "history", base: exchange.base)
        bundle.link("self", exchange.url(path + "/_history", cursor: position.map { String($0) }))
        if let next = page.next { bundle.link("next", exchange.url(path + "/_history", cursor: String(next))) }
        for version in page.entries where try version.isDeleted || isOfPatient(version, decision) {
            bundle.addVersion(
                path, type: type.name,
                resource: version.isDeleted
                    ? nil : try rewriter.rewritten(Array(version.bytes.readableBytesView)),
                version: version.version, lastUpdated: version.lastUpdated, method: version.method,
                isCreated: version.isCreated)
        }
        return bundle.response()
    }

    /// Whether this version is about the decision's patient: what a version said before it was corrected is another's.
    private func isOfPatient(_ version: StoredResource, _ decision: SharingDecision) throws -> Bool {
        guard !version.isDeleted else { return false }
        return exchange.services.definitions.isAbout(
            patient: decision.patientID, document: try JSONDocument(Array(version.content.readableBytesView)),
            type: version.type, baseURL: reading.base(of: decision))
    }
}
