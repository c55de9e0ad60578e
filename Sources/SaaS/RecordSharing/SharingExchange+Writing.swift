import ClinicalData
import CloudHTTP
import Crypto
import HTTPTypes
import NIOCore
import RegionalRecord
import StrictJSON

/// What all writes at the region's base share.
extension SharingExchange {
    /// What the Idempotency-Key says; nil without one.
    func repeatable(_ operation: String, _ body: ByteBuffer) throws(Problem) -> RepeatableRequest? {
        guard let text = headers[.idempotencyKey] else { return nil }
        let key = try IdempotencyKey(text)
        var hash = SHA256()
        // Conditions change what the request asks for.
        hash.update(data: Array((headers[.ifMatch] ?? "").utf8) + [0])
        if let text = headers[.ifNoneMatch] { hash.update(data: Array(text.utf8) + [0]) }
        body.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return RepeatableRequest(operation: operation, key: key.text, digest: Array(hash.finalize()))
    }

    /// Refuses a conditional create.
    func refuseCondition() throws(Problem) {
        guard headers[.ifNoneExist] == nil else {
            throw Problem(
                .invalidInput, "Nothing is recorded by condition here; repeat a request with its Idempotency-Key.",
                fields: [.init(pointer: "header:If-None-Exist", detail: "not served here")])
        }
    }

    /// The version that must be the current one of what is updated; nil = any.
    func expectedVersion() throws(Problem) -> Int32? {
        if let text = headers[.ifNoneMatch] {
            guard EntityTagCondition(parsing: text) == .any else {
                throw Problem(
                    .invalidInput, "If-None-Match of a write must be *.",
                    fields: [.init(pointer: "header:If-None-Match", detail: "* only")])
            }
            return Self.noVersion
        }
        guard let text = headers[.ifMatch] else { return nil }
        switch EntityTagCondition(parsing: text) {
        // Nothing is ever deleted here, and an update of what is not there is refused without any condition.
        case .any: return nil
        case .tags(let tags) where tags.count == 1:
            guard let version = tags[0].version, version > 0 else { throw Problem(.preconditionFailed) }
            return version
        case .tags, nil:
            throw Problem(
                .invalidInput, "If-Match must be * or name one version, as W/\"3\".",
                fields: [.init(pointer: "header:If-Match", detail: "* or one version, as W/\"3\"")])
        }
    }

    /// What no resource comes to: of what is there, `If-None-Match: *` is never true.
    private static let noVersion = Int32.max

    /// The refusal of an update that expected another version than the current one.
    func versionConflict(_ current: String) -> Problem {
        let header = headers[.ifNoneMatch] == nil ? "If-Match" : "If-None-Match"
        return Problem(
            .preconditionFailed, "The current version is \(current).",
            fields: [.init(pointer: "header:" + header, detail: "the current version is \(current)")])
    }

    /// When the days of a period begin where the institution is that writes.
    func days(of period: JSONNode?) async throws -> CivilDays {
        try await services.region.days(of: period, in: timeZone)
    }

    /// The resource in a body: valid FHIR R4 of this type.
    ///
    /// - Parameter code: of the refusal when it is not valid.
    func document(_ body: ByteBuffer, of type: ResourceType, else code: ProblemCode) throws -> JSONDocument {
        if let text = headers[.contentType] {
            let allowed = ["application/fhir+json", "application/json", "text/json"]
            guard let type = MediaType(parsing: text), allowed.contains(type.essence) else {
                throw Problem(
                    .unsupportedMediaType, "The body must be application/fhir+json.",
                    fields: [.init(pointer: "header:Content-Type", detail: "application/fhir+json")])
            }
        }
        guard body.readableBytes > 0 else { throw Problem(.malformedJSON, "The request has no body.") }
        let document = try JSONDocument(Array(body.readableBytesView))
        guard document.root.kind == .object, document.root["resourceType"]?.stringIs(type.name) == true else {
            throw Problem(
                .invalidInput, "The body must be a \(type.name).",
                fields: [.init(pointer: "resourceType", detail: type.name)])
        }
        let issues = services.definitions.validate(document: document, type: type).filter { $0.severity == .error }
        guard issues.isEmpty else {
            throw Problem(
                code, "It is no valid \(type.name) of FHIR R4.",
                fields: issues.prefix(50).map { .init(pointer: $0.expression, detail: $0.diagnostics) })
        }
        return document
    }
}
