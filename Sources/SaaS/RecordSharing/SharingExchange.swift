import BookingBlacklist
import ClinicalData
import CloudHTTP
import CloudIdentity
import CloudModel
import HTTPTypes
import Logging
import ModuleKit
import NIOCore
import RegionalRecord
import TenantRegistry

/// What all requests share.
struct SharingServices: Sendable {
    let definitions: Definitions
    let store: ClinicalStore
    let search: SearchEngine
    let auditLog: AuditLog
    let cursors: SharingCursor
    let region: SharingDatabase
    let blacklist: BlacklistDatabase
    let control: ControlDatabase
    let holders: TenantDatabases
    let endpoints: IdentityEndpoints
    let settings: SharingSettings
    /// Microseconds since 1970.
    let now: @Sendable () -> Int64
}

/// One request's world: who asks, for which institution, until when.
struct SharingExchange: Sendable {
    let services: SharingServices
    let principal: Principal
    let asker: Asker
    /// Whether the asker's institution records consents and keeps the patients' logs.
    let isBureau: Bool
    /// Of the asker's institution, an IANA name.
    let timeZone: String
    /// The absolute URL of the region's FHIR base, without a trailing slash.
    let base: String
    let query: HTTPQuery
    /// The query as it came, with what a form adds, for the logs.
    let queryText: String
    let headers: HTTPFields
    let deadline: NIODeadline
    let logger: Logger

    /// - Throws: `institution-required` when the institution that the client acts for is gone or going.
    init(_ request: RegionRequest, services: SharingServices) async throws {
        let context = request.context
        guard let record = try await services.control.tenant(context.institution), record.state == .ready else {
            throw Problem(.institutionRequired)
        }
        isBureau = record.kind == .bureau
        timeZone = record.timeZone
        self.services = services
        principal = context.principal
        asker = Asker(
            institution: context.institution, record: record, client: principal.clientID,
            practitioner: principal.practitioner, purpose: principal.purposeOfUse, requestID: context.requestID,
            source: context.remoteAddress)
        base = context.fhirBase
        let ofURL = try Self.query(request.query)
        if SharingInteraction.isForm(request.method, path: request.path) {
            query = HTTPQuery(ofURL.parameters + (try Self.form(request)).parameters)
            queryText = query.text
        } else {
            query = ofURL
            queryText = request.query
        }
        headers = request.headers
        deadline = context.deadline
        logger = context.logger
    }

    private static func query(_ text: String) throws(Problem) -> HTTPQuery {
        do {
            return try HTTPQuery(parsing: text)
        } catch {
            throw Problem(
                .malformedRequest, error.description,
                fields: error.parameter.map { [Problem.Field(pointer: $0, detail: error.description)] } ?? [])
        }
    }

    private static func form(_ request: RegionRequest) throws(Problem) -> HTTPQuery {
        let essence = "application/x-www-form-urlencoded"
        if let text = request.headers[.contentType] {
            guard MediaType(parsing: text)?.essence == essence else {
                throw Problem(
                    .unsupportedMediaType, "The body must be a form, \(essence).",
                    fields: [.init(pointer: "header:Content-Type", detail: essence)])
            }
        }
        guard let text = String(validating: request.body.readableBytesView, as: UTF8.self) else {
            throw Problem(.malformedRequest, "The form is not UTF-8.")
        }
        return try query(text)
    }

    // MARK: Who may

    /// Refuses what the token's scopes do not allow, and records it.
    func require(
        _ permission: ScopeSet.Permission, on type: ResourceType, for request: RegionalRequest,
        about mention: SharingDatabase.Mention? = nil
    ) async throws {
        guard !principal.scopes.allows(permission, on: type.name) else { return }
        throw try await refused(
            Problem(.insufficientScope, "The token's scopes do not allow to \(permission) \(type.name)."), request,
            about: mention)
    }

    /// Refuses a request for a patient's records that does not say on whose behalf and what for.
    func requirePurpose(for request: RegionalRequest, about mention: SharingDatabase.Mention? = nil) async throws {
        let claim: String
        let rule: String
        if asker.practitioner == nil {
            claim = "subject_id"
            rule = "The client's assertion must name the practitioner on whose behalf it asks."
        } else if let purpose = asker.purpose {
            guard !PurposeOfUse.codes.contains(purpose) else { return }
            claim = "purpose_of_use"
            rule = "The purpose in the client's assertion must be a code of v3 PurposeOfUse, such as TREAT."
        } else {
            claim = "purpose_of_use"
            rule = "The client's assertion must name a purpose, such as TREAT."
        }
        let place = "extensions.hl7-b2b." + claim
        throw try await refused(
            Problem(
                .purposeRequired, "\(rule) It stands in \(place).",
                fields: [Problem.Field(pointer: place, detail: rule)]), request, about: mention)
    }

    /// Refuses whom the bureau has not made one of its own: it records consents and keeps the patients' logs.
    func requireBureau(for request: RegionalRequest, about mention: SharingDatabase.Mention? = nil) async throws {
        if isBureau { return }
        throw try await refused(Problem(.bureauRequired), request, about: mention)
    }

    /// The refusal, once it is recorded.
    func refused(
        _ problem: Problem, _ request: RegionalRequest, about mention: SharingDatabase.Mention?
    ) async throws -> Problem {
        try await services.region.recordRefusal(request, about: mention, reason: problem.code.name, by: asker)
        return problem
    }

    /// Records what a rule of the region refuses of a write (412, 422).
    func recordingRefusals(
        of request: RegionalRequest, about mention: @autoclosure () -> SharingDatabase.Mention?,
        _ write: () async throws -> ModuleResponse
    ) async throws -> ModuleResponse {
        do {
            return try await write()
        } catch let problem as Problem where [412, 422].contains(problem.code.status) {
            throw try await refused(problem, request, about: mention())
        }
    }

    /// Decides and records whose records may be read.
    ///
    /// - Throws: the one 404 for what does not exist; `consent-required` when nothing is permitted.
    func decide(on patient: RegionID, for request: RegionalRequest) async throws -> SharingOutcome {
        try await requirePurpose(for: request, about: .patient(patient))
        guard let outcome = try await services.region.decide(on: .patient(patient), for: request, by: asker) else {
            throw Problem.nothingShared
        }
        guard outcome.isPermitted else { throw Problem(.consentRequired) }
        return outcome
    }

    /// The same for one record. What is not permitted looks like what does not exist.
    func decide(
        on alias: RecordAlias, for request: RegionalRequest
    ) async throws -> (outcome: SharingOutcome, decision: SharingDecision) {
        try await requirePurpose(for: request, about: .record(alias))
        guard let outcome = try await services.region.decide(on: .record(alias), for: request, by: asker),
            let decision = outcome.permits.first
        else { throw Problem.nothingShared }
        return (outcome, decision)
    }

    // MARK: Queries

    /// Refuses parameters that are not among `names`; those that shape every answer are always.
    func checkParameters(_ names: [String]) throws(Problem) {
        let always = ["_format", "_pretty"]
        for parameter in query.parameters where !names.contains(parameter.name) && !always.contains(parameter.name) {
            throw .unknownParameter(
                parameter.name, "This request has no such parameter. Valid: \(names.sorted().joined(separator: ", ")).")
        }
        try checkFormat()
    }

    func checkFormat() throws(Problem) {
        let json = ["application/fhir+json", "application/json", "text/json"]
        let refusal = Problem(.notAcceptable, "Only JSON is served: application/fhir+json.")
        if let format = query.first("_format") {
            // A plus in a query is a space once decoded.
            let name = format.replacing(" ", with: "+").lowercased().prefix { $0 != ";" }
            guard name == "json" || json.contains(String(name)) else { throw refusal }
        } else if AcceptHeader(parsing: headers[.accept]).preferred(among: json) == nil {
            throw refusal
        }
    }

    /// `_count`: entries of a page.
    func count(default number: Int, maximum: Int) throws(Problem) -> Int {
        let values = query.all("_count")
        guard let value = values.first else { return number }
        guard values.count == 1, let count = Int(value), count >= 0, value.first != "+" else {
            throw .parameter("_count", "It must be a number from 0 on, given once.")
        }
        return min(count, maximum)
    }

    /// `patient`, as the region's id or a reference to it.
    func patientParameter(_ names: [String] = ["patient"]) throws(Problem) -> RegionID? {
        let values = query.parameters.filter { names.contains($0.name) }
        guard let first = values.first else { return nil }
        guard values.count == 1 else { throw .parameter(first.name, "It may be given once.") }
        guard let id = patient(in: first.value) else {
            throw .parameter(first.name, "It must be the region's id of a patient, which Patient?identifier= finds.")
        }
        return id
    }

    /// The patient that a reference names, or an id.
    func patient(in reference: String) -> RegionID? {
        var text = reference[...]
        if text.hasPrefix(base + "/") { text = text.dropFirst(base.count + 1) }
        if text.hasPrefix("Patient/") { text = text.dropFirst(8) }
        return RegionID(text)
    }

    /// The query without the cursor: what a cursor is good for, and what links begin with.
    var cursorlessQuery: String {
        HTTPQuery(query.parameters.filter { $0.name != "_cursor" }).text
    }

    /// Whose cursors and for which question.
    func cursorSubject(_ path: String) -> String {
        [asker.institution.rawValue, asker.client, path, cursorlessQuery].joined(separator: "\n")
    }

    /// The position in `_cursor`; nil on the first page.
    func cursor(_ path: String) throws(Problem) -> String? {
        let values = query.all("_cursor")
        guard let text = values.first else { return nil }
        guard values.count == 1, let position = services.cursors.position(text, for: cursorSubject(path)) else {
            throw .badCursor
        }
        return position
    }

    /// The URL of a page.
    func url(_ path: String, cursor: String? = nil) -> String {
        var parts = [cursorlessQuery].filter { !$0.isEmpty }
        if let cursor { parts.append("_cursor=" + services.cursors.text(cursor, for: cursorSubject(path))) }
        return base + "/" + path + (parts.isEmpty ? "" : "?" + parts.joined(separator: "&"))
    }
}

extension Problem {
    /// A parameter that is missing, or has a value that is not allowed.
    static func parameter(_ name: String, _ rule: String) -> Problem {
        Problem(.invalidInput, rule, fields: [Field(pointer: String(name.prefix(100)), detail: rule)])
    }

    /// A parameter that the request does not have.
    static func unknownParameter(_ name: String, _ rule: String) -> Problem {
        Problem(.unknownParameter, rule, fields: [Field(pointer: String(name.prefix(100)), detail: rule)])
    }

    static let badCursor = Problem.parameter(
        "_cursor", "The cursor was not made for this request by this client. Start again from the first page.")

    /// What a client learns of a search that a holder's planner refuses.
    init(_ error: SearchError) {
        let code: ProblemCode =
            switch error.code {
            case .forbidden: .insufficientScope
            case .unknown, .unsupported: .unknownParameter
            default: .invalidInput
            }
        self.init(
            code, error.diagnostics,
            fields: error.parameter.map { [Field(pointer: $0, detail: error.diagnostics)] } ?? [])
    }
}
