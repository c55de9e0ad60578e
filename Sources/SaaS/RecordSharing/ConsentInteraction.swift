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

    private var consents: SharingDatabase { exchange.services.region }

    // MARK: Writing

    /// `POST Consent`
    func record(_ body: ByteBuffer) async throws -> ModuleResponse {
        let audit = RegionalRequest(.create, type: .consent)
        let mention = patient(in: body).map { SharingDatabase.Mention.patient($0) }
        try await authorize(.create, audit, about: mention)
        try exchange.checkParameters([])
        try exchange.refuseCondition()
        return try await exchange.recordingRefusals(of: audit, about: mention) {
            try await once(try exchange.repeatable("POST", body), creates: true) { request in
                try await write(body, id: nil, request)
            }
        }
    }

    /// `PUT Consent/ID`: a new version; `status` inactive revokes. It has taken effect when this returns.
    func update(_ id: RegionID, _ body: ByteBuffer) async throws -> ModuleResponse {
        let audit = RegionalRequest(.update, type: .consent, resourceID: id.text)
        try await authorize(.update, audit, about: .consent(id))
        try exchange.checkParameters([])
        return try await exchange.recordingRefusals(of: audit, about: patient(in: body).map { .patient($0) }) {
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

    private func once(
        _ request: RepeatableRequest?, creates: Bool, _ write: (RepeatableRequest?) async throws -> RecordVersion
    ) async throws -> ModuleResponse {
        try await exchange.once(
            request, of: .consent, creates: creates,
            written: { try await consents.written(by: $0, by: exchange.asker) }, write: write)
    }

    private func write(_ body: ByteBuffer, id: RegionID?, _ request: RepeatableRequest?) async throws -> RecordVersion {
        let document = try exchange.document(body, of: .consent, else: .consentRefused)
        let expected = try exchange.expectedVersion()
        if let id, let named = document.root["id"], !named.stringIs(id.text) {
            throw Self.refused([.init(place: "Consent.id", rule: "It must be the id in the URL.")])
        }
        let days = try await exchange.days(of: document.root["provision"]?["period"])
        let terms: ConsentTerms
        do {
            terms = try ConsentTerms(
                document.root, recorder: exchange.asker.institution, definitions: exchange.services.definitions,
                days: days, now: exchange.services.now())
        } catch {
            throw Self.refused(error.findings)
        }
        // A consent must be revocable whatever became of whom it names.
        let databases = try await terms.status == .inactive ? [] : databases(of: terms)
        guard let identity = id ?? RegionID(ResourceID.make()) else { throw Problem(.internalError) }
        let stored = ResourceBytes.stored(document, id: identity.text) ?? document.bytes
        do {
            return try await consents.write(
                terms, id: identity, creates: id == nil, expected: expected, databases: databases,
                content: ByteBuffer(bytes: stored), request: request, by: exchange.asker)
        } catch {
            throw problem(error, terms)
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

    private func problem(_ error: RegionalRecordError, _ terms: ConsentTerms) -> any Error {
        switch error.code {
        case .unknownPatient:
            return Self.refused([.init(place: "Consent.patient", rule: "The region knows no such patient.")])
        case .patientChanged:
            return Self.refused([
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
                fields: [Self.field("Consent.status", "allowed: \(names.isEmpty ? "none" : names)")])
        case .versionConflict: return exchange.versionConflict(error.detail)
        default: return error
        }
    }

    // MARK: Reading

    /// `GET Consent/ID`
    func read(_ id: RegionID) async throws -> ModuleResponse {
        try await authorize(
            .read, RegionalRequest(.read, type: .consent, resourceID: id.text), about: .consent(id))
        try exchange.checkParameters([])
        return try exchange.answer(try await consents.consent(id, by: exchange.asker))
    }

    /// `GET Consent?patient=&status=`
    func search() async throws -> ModuleResponse {
        let patient = try exchange.patientParameter()
        let request = RegionalRequest(.searchType, type: .consent, query: exchange.queryText)
        try await authorize(.search, request, about: patient.map { .patient($0) })
        try exchange.checkParameters(["patient", "status", "_count", "_cursor"])
        let statuses = exchange.query.all("status")
        let status = statuses.first.flatMap { ConsentTerms.Status(rawValue: $0) }
        guard statuses.isEmpty || (statuses.count == 1 && status != nil) else {
            throw Problem.parameter("status", "It must be 'draft', 'active' or 'inactive'.")
        }
        let count = try exchange.count(default: 50, maximum: 1000)
        let search = ConsentSearch(
            patient: patient, status: status, before: try exchange.position(.consent), limit: count)
        if count == 0 {
            let total = try await consents.count(search, query: exchange.queryText, by: exchange.asker)
            return exchange.counted(total, .consent)
        }
        let found = try await consents.consents(search, query: exchange.queryText, by: exchange.asker)
        return exchange.page(of: found, .consent, count: count)
    }

    /// `GET Consent/ID/_history`
    func versions(_ id: RegionID) async throws -> ModuleResponse {
        try await authorize(
            .read, RegionalRequest(.historyInstance, type: .consent, resourceID: id.text), about: .consent(id))
        try exchange.checkParameters([])
        return try exchange.history(
            of: id, .consent, try await consents.versions(of: id, version: nil, by: exchange.asker))
    }

    /// `GET Consent/ID/_history/VERSION`
    func readVersion(_ id: RegionID, version text: String) async throws -> ModuleResponse {
        let version = try exchange.versionNumber(text)
        try await authorize(
            .read, RegionalRequest(.vread, type: .consent, resourceID: id.text, version: version),
            about: .consent(id))
        try exchange.checkParameters([])
        return try exchange.answer(try await consents.versions(of: id, version: version, by: exchange.asker).first)
    }

    private func authorize(
        _ permission: ScopeSet.Permission, _ request: RegionalRequest, about mention: SharingDatabase.Mention?
    ) async throws {
        try await exchange.require(permission, on: .consent, for: request, about: mention)
        try await exchange.requireBureau(for: request, about: mention)
    }
}
