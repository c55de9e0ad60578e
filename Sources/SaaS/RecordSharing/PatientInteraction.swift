import ClinicalData
import CloudHTTP
import CloudIdentity
import HTTPTypes
import ModuleKit
import NIOCore
import RegionalRecord
import StrictJSON

/// The region's patients: found by identifier, and as the frame around what holders have of them.
struct PatientInteraction: Sendable {
    let exchange: SharingExchange

    /// `Patient?identifier=system|value`: whether the region knows the identifier, and under which id. Needs no consent, and
    /// tells neither names nor institutions nor other identifiers.
    func find() async throws -> ModuleResponse {
        let request = RegionalRequest(.searchType, type: .patient, query: exchange.queryText)
        // Whom it names is in their log, refused or not.
        let mention = (try? identifier()).map { named in
            let key = Self.key(named.system, named.value)
            return SharingDatabase.Mention.identifier(system: key.system, value: key.value)
        }
        try await exchange.require(.search, on: .patient, for: request, about: mention)
        try exchange.checkParameters(["identifier", "_count", "_summary"])
        try await exchange.requirePurpose(for: request, about: mention)
        let (system, value) = try identifier()
        let key = Self.key(system, value)
        let patient = try await exchange.services.region.lookUp(
            system: key.system, value: key.value, query: exchange.queryText, by: exchange.asker)
        var bundle = SharedBundle(base: exchange.base)
        bundle.link("self", exchange.url("Patient"))
        bundle.total = patient == nil ? 0 : 1
        let isCount = exchange.query.first("_summary") == "count"
        if let patient, !isCount, try exchange.count(default: 1, maximum: 1) > 0 {
            bundle.add(
                "Patient/" + patient.text,
                resource: Self.resource(patient) { json in
                    json.arrayMember("identifier") { json in
                        json.object { json in
                            json.member("system", system)
                            json.member("value", value)
                        }
                    }
                })
        }
        return bundle.response()
    }

    /// In the index's own form; what identifies nobody is looked for all the same, because the looking is recorded.
    private static func key(_ system: String, _ value: String) -> (system: String, value: String) {
        let key = PersonIdentifier(system: system, value: value)
        return (key?.system ?? system, key?.value ?? value)
    }

    private func identifier() throws(Problem) -> (system: String, value: String) {
        if let summary = exchange.query.first("_summary"), !["count", "false"].contains(summary) {
            throw Problem.parameter("_summary", "It must be 'count' or 'false'.")
        }
        let values = exchange.query.all("identifier")
        guard values.count == 1, let token = IdentifierToken(values[0]) else {
            throw Problem.parameter(
                "identifier", "Exactly one identifier is needed, as system|value: the index is not for browsing.")
        }
        return (token.system, token.value)
    }

    /// `Patient/ID`: the patient, with links to the holders' own Patient resources that may be read.
    func read(_ id: RegionID) async throws -> ModuleResponse {
        try exchange.checkParameters([])
        let request = RegionalRequest(.read, type: .patient, resourceID: id.text)
        try await exchange.require(.read, on: .patient, for: request, about: .patient(id))
        let outcome = try await exchange.decide(on: id, for: request)
        return ModuleResponse(
            status: .ok, headers: [.contentType: Problem.fhirMediaType],
            body: ByteBuffer(bytes: Self.resource(outcome)))
    }

    /// `Patient/ID/$everything`: the patient and all resources of its compartment that may be read.
    func everything(_ id: RegionID) async throws -> ModuleResponse {
        let request = RegionalRequest(.operation, resourceID: id.text, query: exchange.queryText)
        try await exchange.require(.read, on: .patient, for: request, about: .patient(id))
        try exchange.checkParameters(["_type", "_since", "_count", "_cursor", "_summary"])
        var parameters: [(name: String, value: String)] = []
        let types = try types()
        if let since = exchange.query.first("_since") {
            guard FHIRInstant.parse(since) != nil else {
                throw Problem.parameter("_since", "It must be an instant such as 2026-11-21T10:22:46.046Z.")
            }
            parameters.append(("_lastUpdated", "ge" + since))
        }
        if let summary = exchange.query.first("_summary") {
            guard summary == "count" else { throw Problem.parameter("_summary", "It must be 'count'.") }
        }
        let count = try exchange.count(default: 1000, maximum: 1000)
        let path = "Patient/\(id.text)/$everything"
        _ = try exchange.cursor(path)
        let outcome = try await exchange.decide(on: id, for: request)
        let reading = MergedReading(
            exchange: exchange, outcome: outcome, path: path, type: nil, types: types, parameters: parameters,
            interaction: .operation)
        let isWanted = types?.contains(.patient) ?? true
        if exchange.query.first("_summary") == "count" || count == 0 {
            return try await reading.count(heads: isWanted ? 1 : 0)
        }
        return try await reading.page(
            count: count,
            head: isWanted ? ("Patient/" + outcome.patient.text, Self.resource(outcome)) : nil)
    }

    /// The types in `_type`; nil when it is not given.
    private func types() throws(Problem) -> [ResourceType]? {
        let values = exchange.query.all("_type")
        guard let value = values.first else { return nil }
        guard values.count == 1 else {
            throw Problem.parameter("_type", "It may be given once; separate types by commas.")
        }
        var types: [ResourceType] = []
        for name in value.split(separator: ",", omittingEmptySubsequences: false) {
            guard let type = ResourceType.named(String(name)), exchange.isAboutPatients(type) else {
                throw Problem.parameter(
                    "_type", "'\(name.prefix(64))' is not a resource type that is about patients.")
            }
            if !types.contains(type) { types.append(type) }
        }
        return types
    }

    // MARK: The region's Patient

    private static func resource(_ outcome: SharingOutcome) -> [UInt8] {
        resource(outcome.patient) { json in
            let records = outcome.permits.filter { $0.permits(.patient) }
                .map { SharedID($0.alias, $0.patientID) }.filter(\.isWritable).map(\.text).sorted()
            guard !records.isEmpty else { return }
            json.arrayMember("link") { json in
                for record in records {
                    json.object { json in
                        json.member("other") { $0.member("reference", "Patient/" + record) }
                        json.member("type", "seealso")
                    }
                }
            }
        }
    }

    private static func resource(_ id: RegionID, _ body: (inout JSONWriter) -> Void) -> [UInt8] {
        var json = JSONWriter(reservingCapacity: 256)
        json.object { json in
            json.member("resourceType", "Patient")
            json.member("id", id.text)
            body(&json)
        }
        return json.bytes
    }
}

extension SharingExchange {
    /// Whether resources of a type are about patients, which is all that is shared. Holders' logs are theirs.
    func isAboutPatients(_ type: ResourceType) -> Bool {
        type != .auditEvent && services.definitions.isAboutPatients(type)
    }
}
