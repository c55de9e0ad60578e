import ClinicalData
import NIOCore
import StrictJSON

/// Takes in resources that clients send: checks them and makes writes of them.
struct ResourceIntake: Sendable {
    let definitions: Definitions
    /// The FHIR base, to which absolute references become relative in the index.
    let base: String

    /// - Parameters:
    ///   - place: The bundle entry, "" for a request of its own.
    ///   - rewriter: Replaces the temporary links of a transaction.
    func operation(
        _ kind: WriteOperation.Kind, _ type: ResourceType, id: String, expectedVersion: Int32?,
        _ document: JSONDocument,
        rewriter: ReferenceRewriter? = nil, place: String
    ) throws(FHIRFailure) -> WriteOperation {
        try check(document, type, place: place)
        let edits = rewriter?.edits(in: document) ?? []
        var stored = document
        if let bytes = ResourceBytes.stored(document, id: id, edits: edits) {
            do {
                stored = try JSONDocument(bytes)
            } catch {
                throw FHIRFailure(error, place: place)
            }
        }
        return WriteOperation(
            kind, type, id: id, expectedVersion: expectedVersion, content: ByteBuffer(bytes: stored.bytes),
            index: definitions.extract(document: stored, type: type, baseURL: base))
    }

    /// The bytes as a document; 400 or 413 when they are no JSON we accept.
    static func parse(_ bytes: [UInt8], place: String = "") throws(FHIRFailure) -> JSONDocument {
        guard !bytes.isEmpty else { throw FHIRFailure(400, "structure", "The request has no body.") }
        do {
            return try JSONDocument(bytes)
        } catch {
            throw FHIRFailure(error, place: place)
        }
    }

    static func parse(_ body: ByteBuffer) throws(FHIRFailure) -> JSONDocument {
        try parse(Array(body.readableBytesView))
    }

    /// The `id` in the resource; nil when there is none.
    static func id(in document: JSONDocument, place: String) throws(FHIRFailure) -> String? {
        guard let node = document.root["id"] else { return nil }
        guard let id = node.string, ResourceID.isValid(id) else {
            throw FHIRFailure(
                400, "value", "An id is 1 to 64 letters, digits, hyphens and dots.",
                at: place.isEmpty ? "id" : place + ".resource.id")
        }
        return id
    }

    private func check(_ document: JSONDocument, _ type: ResourceType, place: String) throws(FHIRFailure) {
        let inBundle = place.isEmpty ? "" : place + ".resource"
        guard document.root.kind == .object, let found = document.root["resourceType"]?.string else {
            throw FHIRFailure(
                400, "structure", "The body must be a resource with 'resourceType'.",
                at: inBundle.isEmpty ? "resourceType" : inBundle + ".resourceType")
        }
        guard found == type.name else {
            throw FHIRFailure(
                400, "invalid", "The resource is a '\(found)', but the URL is that of \(type.name).",
                at: inBundle.isEmpty ? "resourceType" : inBundle + ".resourceType")
        }
        let problems = definitions.validate(document: document, type: type)
        let errors = problems.filter { $0.severity == .error }
        guard !errors.isEmpty else { return }
        let isMalformed = errors.contains { $0.code == .structure }
        throw FHIRFailure(
            isMalformed ? 400 : 422,
            problems.prefix(50).map { problem in
                FHIRFailure.Issue(
                    severity: problem.severity.rawValue, code: problem.code.rawValue, diagnostics: problem.diagnostics,
                    expression: inBundle.isEmpty
                        ? problem.expression : inBundle + problem.expression.dropFirst(type.name.count))
            })
    }
}
