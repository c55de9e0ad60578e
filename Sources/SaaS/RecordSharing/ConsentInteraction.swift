import ClinicalData
import CloudHTTP
import CloudIdentity
import CloudModel
import HTTPTypes
import ModuleKit
import NIOCore
import RegionalRecord
import StrictJSON
import TenantRegistry

/// Consents: recorded and revoked by the bureau's clients on behalf of patients, never deleted.
struct ConsentInteraction: Sendable {
    let exchange: SharingExchange

    // MARK: Writing

    /// `POST Consent`
    func record(_ body: ByteBuffer) async throws -> ModuleResponse {
        let audit = RegionalRequest(.create, type: .consent)
        try await authorize(.create, audit, patient: nil)
        try exchange.checkParameters([])
        try exchange.refuseCondition()
        return try await exchange.recordingRefusals(of: audit, patient: patient(in: body)) {
            try await once(try exchange.repeatable("POST", body), creates: true) { request in
                try await write(body, id: nil, request)
            }
        }
    }

    /// `PUT Consent/ID`: a new version; `status` inactive revokes. It has taken effect when this returns.
    func update(_ id: RegionID, _ body: ByteBuffer) async throws -> ModuleResponse {
        let audit = RegionalRequest(.update, type: .consent, resourceID: id.text)
        try await authorize(.update, audit, patient: nil)
        try exchange.checkParameters([])
        return try await exchange.recordingRefusals(of: audit, patient: patient(in: body)) {
            try await once(try exchange.repeatable("PUT \(id.text)", body), creates: false) { request in
                try await write(body, id: id, request)
            }
        }
    }

    /// The patient whom the body names, for the log of what is refused.
    private func patient(in body: ByteBuffer) -> RegionID? {
        let reference = try? JSONDocument(Array(body.readableBytesView)).root["patient"]?["reference"]?.string
        return reference.flatMap(exchange.patient(in:))
    }

    /// Writes, unless the same request did before: then the answer is the same, whatever is true by now.
    private func once(
        _ request: RepeatableRequest?, creates: Bool, _ write: (RepeatableRequest?) async throws -> ConsentRecord
    ) async throws -> ModuleResponse {
        let record: ConsentRecord
        do {
            if let request, let written = try await exchange.services.region.written(by: request, by: exchange.asker) {
                record = written
            } else {
                record = try await write(request)
            }
        } catch let error as RegionalRecordError where error.code == .keyReused {
            throw Problem(.idempotencyMismatch)
        }
        var response = ModuleResponse.resource(
            record.bytes, status: creates ? .created : .ok, version: record.version, lastUpdated: record.recordedAt)
        response.headers[.location] = "\(exchange.base)/Consent/\(record.id.text)/_history/\(record.version)"
        return response
    }

    private func write(_ body: ByteBuffer, id: RegionID?, _ request: RepeatableRequest?) async throws -> ConsentRecord {
        let document = try exchange.document(body, of: .consent, else: .consentRefused)
        let expected = try exchange.expectedVersion()
        if let id, let named = document.root["id"], !named.stringIs(id.text) {
            throw Self.refused([.init(place: "Consent.id", rule: "It must be the id in the URL.")])
        }
        let terms: ConsentTerms
        do {
            terms = try ConsentTerms(
                document.root, recorder: exchange.asker.institution, definitions: exchange.services.definitions,
                now: exchange.services.now())
        } catch {
            throw Self.refused(error.findings)
        }
        // A consent must be revocable whatever became of whom it names.
        let databases = try await terms.status == .inactive ? [] : databases(of: terms)
        guard let identity = id ?? RegionID(ResourceID.make()) else { throw Problem(.internalError) }
        let stored = ResourceBytes.stored(document, id: identity.text) ?? document.bytes
        do {
            return try await exchange.services.region.write(
                terms, id: identity, creates: id == nil, expected: expected, databases: databases,
                content: ByteBuffer(bytes: stored), request: request, by: exchange.asker)
        } catch {
            throw Self.problem(error, terms)
        }
    }

    /// The databases of the institutions that the terms name: who they are, whatever their names will mean later.
    private func databases(of terms: ConsentTerms) async throws -> [String] {
        var databases: [String] = []
        var findings: [ConsentTerms.Finding] = []
        for tenant in terms.grantees {
            if let record = try await exchange.services.control.tenant(tenant), record.state == .ready {
                databases.append(record.database)
            } else {
                findings.append(
                    .init(
                        place: "Consent.provision.actor", rule: "There is no institution '\(tenant)' in this region."))
            }
        }
        guard findings.isEmpty else { throw Self.refused(findings) }
        return databases
    }

    private static func field(_ place: String, _ rule: String) -> Problem.Field {
        Problem.Field(pointer: place, detail: rule)
    }

    private static func refused(_ findings: [ConsentTerms.Finding]) -> Problem {
        Problem(
            .consentRefused, "The consent breaks \(findings.count == 1 ? "a rule" : "rules") of the region.",
            fields: findings.map { field($0.place, $0.rule) })
    }

    private static func problem(_ error: RegionalRecordError, _ terms: ConsentTerms) -> any Error {
        switch error.code {
        case .unknownPatient:
            return refused([.init(place: "Consent.patient", rule: "The region knows no such patient.")])
        case .patientChanged:
            return refused([
                .init(
                    place: "Consent.patient",
                    rule: "It stays as it was: a consent of another patient is another consent.")
            ])
        case .illegalTransition:
            let from = error.detail.split(separator: ",").first.map(String.init) ?? ""
            let allowed = ConsentTerms.Status(rawValue: from)?.next ?? [.draft, .active]
            let names = allowed.map(\.rawValue).joined(separator: ", ")
            return Problem(
                .illegalTransition,
                "From '\(from)' to '\(terms.status.rawValue)' there is no way. Allowed: \(names.isEmpty ? "none" : names).",
                fields: [field("Consent.status", "allowed: \(names.isEmpty ? "none" : names)")])
        case .versionConflict:
            return Problem(
                .preconditionFailed, "The current version is \(error.detail).",
                fields: [field("header:If-Match", "the current version is \(error.detail)")])
        default: return error
        }
    }

    // MARK: Reading

    /// `GET Consent/ID`
    func read(_ id: RegionID) async throws -> ModuleResponse {
        try await authorize(.read, RegionalRequest(.read, type: .consent, resourceID: id.text), patient: nil)
        try exchange.checkParameters([])
        guard let record = try await exchange.services.region.consent(id, by: exchange.asker) else {
            throw Problem.nothingShared
        }
        return .resource(record.bytes, version: record.version, lastUpdated: record.recordedAt)
    }

    /// `GET Consent?patient=&status=`
    func search() async throws -> ModuleResponse {
        let patient = try exchange.patientParameter()
        let request = RegionalRequest(.searchType, type: .consent, query: exchange.queryText)
        try await authorize(.search, request, patient: patient)
        try exchange.checkParameters(["patient", "status", "_count", "_cursor"])
        let statuses = exchange.query.all("status")
        let status = statuses.first.flatMap { ConsentTerms.Status(rawValue: $0) }
        guard statuses.isEmpty || (statuses.count == 1 && status != nil) else {
            throw Problem.parameter("status", "It must be 'draft', 'active' or 'inactive'.")
        }
        let count = max(1, try exchange.count(default: 50, maximum: 1000))
        let found = try await exchange.services.region.consents(
            ConsentSearch(patient: patient, status: status, before: try position(), limit: count),
            query: exchange.queryText, by: exchange.asker)
        var bundle = SharedBundle(base: exchange.base)
        bundle.link("self", exchange.url("Consent"))
        if found.count > count {
            let last = found[count - 1]
            bundle.link("next", exchange.url("Consent", cursor: "\(last.recordedAt)/\(last.id.text)"))
        }
        for record in found.prefix(count) {
            bundle.add("Consent/" + record.id.text, resource: record.bytes.readableBytesView)
        }
        return bundle.response()
    }

    private func position() throws(Problem) -> ConsentSearch.Position? {
        guard let text = try exchange.cursor("Consent") else { return nil }
        let parts = text.split(separator: "/")
        guard parts.count == 2, let at = Int64(parts[0]), let id = RegionID(parts[1]) else { throw .badCursor }
        return ConsentSearch.Position(recordedAt: at, id: id)
    }

    /// `GET Consent/ID/_history`
    func versions(_ id: RegionID) async throws -> ModuleResponse {
        try await authorize(
            .read, RegionalRequest(.historyInstance, type: .consent, resourceID: id.text), patient: nil)
        try exchange.checkParameters([])
        let records = try await exchange.services.region.versions(of: id, version: nil, by: exchange.asker)
        guard !records.isEmpty else { throw Problem.nothingShared }
        var bundle = SharedBundle(type: "history", base: exchange.base)
        bundle.link("self", exchange.url("Consent/\(id.text)/_history"))
        bundle.total = Int64(records.count)
        for record in records {
            bundle.addVersion(
                "Consent/" + id.text, type: "Consent", resource: Array(record.bytes.readableBytesView),
                version: record.version, lastUpdated: record.recordedAt, method: record.method,
                isCreated: record.version == 1)
        }
        return bundle.response()
    }

    /// `GET Consent/ID/_history/VERSION`
    func readVersion(_ id: RegionID, version text: String) async throws -> ModuleResponse {
        guard let version = Int32(text), version > 0, String(version) == text else { throw Problem.nothingShared }
        try await authorize(
            .read, RegionalRequest(.vread, type: .consent, resourceID: id.text, version: version), patient: nil)
        try exchange.checkParameters([])
        let records = try await exchange.services.region.versions(of: id, version: version, by: exchange.asker)
        guard let record = records.first else { throw Problem.nothingShared }
        return .resource(record.bytes, version: record.version, lastUpdated: record.recordedAt)
    }

    private func authorize(
        _ permission: ScopeSet.Permission, _ request: RegionalRequest, patient: RegionID?
    ) async throws {
        try await exchange.require(permission, on: .consent, for: request, patient: patient)
        try await exchange.requireBureau(for: request, patient: patient)
    }
}
