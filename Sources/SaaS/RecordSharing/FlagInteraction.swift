import BookingBlacklist
import ClinicalData
import CloudHTTP
import CloudIdentity
import HTTPTypes
import ModuleKit
import NIOCore
import RegionalRecord
import StrictJSON

/// The entries of the region's booking blacklist, as Flags: written by the bureau's clients and by the region's rule, searched
/// by whoever books for an institution.
struct FlagInteraction: Sendable {
    let exchange: SharingExchange

    private var blacklist: BlacklistDatabase { exchange.services.blacklist }

    // MARK: Writing

    /// `POST Flag`
    func record(_ body: ByteBuffer) async throws -> ModuleResponse {
        let audit = RegionalRequest(.create, type: .flag)
        try await authorize(.create, audit)
        try exchange.checkParameters([])
        try exchange.refuseCondition()
        return try await exchange.recordingRefusals(of: audit, about: nil) {
            try await once(try exchange.repeatable("POST", body), creates: true) { request in
                try await write(body, id: nil, request)
            }
        }
    }

    /// `PUT Flag/ID`: a new version; `status` inactive lifts it.
    func update(_ id: RegionID, _ body: ByteBuffer) async throws -> ModuleResponse {
        let audit = RegionalRequest(.update, type: .flag, resourceID: id.text)
        try await authorize(.update, audit)
        try exchange.checkParameters([])
        return try await exchange.recordingRefusals(of: audit, about: nil) {
            try await once(try exchange.repeatable("PUT \(id.text)", body), creates: false) { request in
                try await write(body, id: id, request)
            }
        }
    }

    private func once(
        _ request: RepeatableRequest?, creates: Bool, _ write: (RepeatableRequest?) async throws -> RecordVersion
    ) async throws -> ModuleResponse {
        try await exchange.once(
            request, of: .flag, creates: creates,
            written: { try await blacklist.written(by: $0, by: exchange.asker) }, write: write)
    }

    private func write(
        _ body: ByteBuffer, id: RegionID?, _ request: RepeatableRequest?
    ) async throws -> RecordVersion {
        let document = try exchange.document(body, of: .flag, else: .flagRefused)
        let expected = try exchange.expectedVersion()
        if let id, let named = document.root["id"], !named.stringIs(id.text) {
            throw Self.refused([.init(place: "Flag.id", rule: "It must be the id in the URL.")])
        }
        let days = try await exchange.days(of: document.root["period"])
        let terms: BlacklistTerms
        do {
            terms = try BlacklistTerms(document.root, days: days, now: exchange.services.now())
        } catch {
            throw Self.refused(error.findings)
        }
        guard let identity = id ?? RegionID(ResourceID.make()) else { throw Problem(.internalError) }
        let stored = ResourceBytes.stored(document, id: identity.text) ?? document.bytes
        do {
            return try await blacklist.write(
                terms, id: identity, creates: id == nil, expected: expected, content: ByteBuffer(bytes: stored),
                request: request, by: exchange.asker)
        } catch {
            throw problem(error, terms)
        }
    }

    private static func refused(_ findings: [BlacklistTerms.Finding]) -> Problem {
        Problem(
            .flagRefused, "The flag breaks \(findings.count == 1 ? "a rule" : "rules") of the region.",
            fields: findings.map { .init(pointer: $0.place, detail: $0.rule) })
    }

    private func problem(_ error: BlacklistError, _ terms: BlacklistTerms) -> any Error {
        switch error.code {
        case .personChanged:
            return Self.refused([
                .init(place: "Flag.subject", rule: "It stays as it was: another person's entry is another entry.")
            ])
        case .periodChanged:
            return Self.refused([
                .init(
                    place: "Flag.period",
                    rule: "The region sets the period of its own entries: lift this one and record another.")
            ])
        case .illegalTransition:
            let from = error.detail.split(separator: ",").first.map(String.init) ?? ""
            let allowed = BlacklistTerms.Status(rawValue: from)?.next ?? [.active]
            let names = allowed.isEmpty ? "none" : allowed.map(\.rawValue).joined(separator: ", ")
            return Problem(
                .illegalTransition,
                "From '\(from)' to '\(terms.status.rawValue)' there is no way. Allowed: \(names).",
                fields: [.init(pointer: "Flag.status", detail: "allowed: \(names)")])
        case .versionConflict: return exchange.versionConflict(error.detail)
        default: return error
        }
    }

    // MARK: Reading

    /// `GET Flag/ID`
    func read(_ id: RegionID) async throws -> ModuleResponse {
        try await authorize(.read, RegionalRequest(.read, type: .flag, resourceID: id.text))
        try exchange.checkParameters([])
        return try exchange.answer(try await blacklist.entry(id, by: exchange.asker))
    }

    /// `GET Flag?subject:identifier=SYSTEM|VALUE`: what bars a person now or later. The bureau finds every entry of a person or
    /// of everybody, by `status` too.
    func search() async throws -> ModuleResponse {
        let request = RegionalRequest(.searchType, type: .flag, query: exchange.queryText)
        try await exchange.require(.search, on: .flag, for: request)
        if !exchange.isBureau { try await exchange.requirePurpose(for: request) }
        try exchange.checkParameters(
            [Self.identifierName, "_count", "_cursor"] + (exchange.isBureau ? ["status"] : []))
        let person = try person()
        let count = try exchange.count(default: 50, maximum: 1000)
        let search = BlacklistSearch(
            person: person, status: try status(), barsOnly: !exchange.isBureau, before: try exchange.position(.flag),
            limit: count)
        if count == 0 {
            let total = try await blacklist.count(search, query: exchange.queryText, by: exchange.asker)
            return exchange.counted(total, .flag)
        }
        let found = try await blacklist.entries(search, query: exchange.queryText, by: exchange.asker)
        return exchange.page(of: found, .flag, count: count)
    }

    static let identifierName = "subject:identifier"

    private func person() throws(Problem) -> (system: String, value: String)? {
        let values = exchange.query.all(Self.identifierName)
        if values.isEmpty, exchange.isBureau { return nil }
        guard values.count == 1, let token = IdentifierToken(values[0]) else {
            throw Problem.parameter(
                Self.identifierName,
                "Exactly one identifier is needed, as system|value; a patient's records are found by 'patient'.")
        }
        // In the form in which entries are kept; what identifies nobody is looked for all the same, because the looking is
        // recorded.
        let key = PersonIdentifier(system: token.system, value: token.value)
        return (key?.system ?? token.system, key?.value ?? token.value)
    }

    private func status() throws(Problem) -> BlacklistTerms.Status? {
        let values = exchange.query.all("status")
        let status = values.first.flatMap { BlacklistTerms.Status(rawValue: $0) }
        guard values.isEmpty || (values.count == 1 && status != nil) else {
            throw Problem.parameter("status", "It must be 'active', 'inactive' or 'entered-in-error'.")
        }
        return status
    }

    /// `GET Flag/ID/_history`
    func versions(_ id: RegionID) async throws -> ModuleResponse {
        try await authorize(.read, RegionalRequest(.historyInstance, type: .flag, resourceID: id.text))
        try exchange.checkParameters([])
        return try exchange.history(
            of: id, .flag, try await blacklist.versions(of: id, version: nil, by: exchange.asker))
    }

    /// `GET Flag/ID/_history/VERSION`
    func readVersion(_ id: RegionID, version text: String) async throws -> ModuleResponse {
        let version = try exchange.versionNumber(text)
        try await authorize(.read, RegionalRequest(.vread, type: .flag, resourceID: id.text, version: version))
        try exchange.checkParameters([])
        return try exchange.answer(try await blacklist.versions(of: id, version: version, by: exchange.asker).first)
    }

    private func authorize(_ permission: ScopeSet.Permission, _ request: RegionalRequest) async throws {
        try await exchange.require(permission, on: .flag, for: request)
        try await exchange.requireBureau(for: request)
    }
}
