import ClinicalData
import CloudHTTP
import HTTPTypes
import ModuleKit
import NIOCore

/// What an interaction answers, before it becomes an HTTP response or an entry of a bundle.
struct Answer: Sendable {
    var status: Int
    /// The version that the answer is about.
    var version: Int32?
    /// The entity tag of what has no version.
    var tag: EntityTag?
    /// Microseconds since 1970.
    var lastUpdated: Int64?
    /// Of a write: `Type/id/_history/version`.
    var location: String?
    /// The resource, served form.
    var resource: ByteBuffer?
    /// An OperationOutcome.
    var outcome: [UInt8]?

    init(status: Int) { self.status = status }

    /// A resource that was read.
    init(_ resource: StoredResource) {
        status = 200
        version = resource.version
        lastUpdated = resource.lastUpdated
        self.resource = resource.bytes
    }

    static let mediaType = "application/fhir+json"

    /// As the answer to an HTTP request.
    func response(base: String) -> ModuleResponse {
        var headers: HTTPFields = [:]
        if let tag = version.map({ EntityTag(version: $0) }) ?? tag { headers[.eTag] = tag.description }
        if let lastUpdated { headers[.lastModified] = HTTPDate.format(microsecondsSinceEpoch: lastUpdated) }
        if let location { headers[.location] = base + "/" + location }
        var body = resource ?? ByteBuffer()
        if resource == nil, let outcome { body.writeBytes(outcome) }
        if body.readableBytes > 0 { headers[.contentType] = Self.mediaType }
        return ModuleResponse(status: HTTPResponse.Status(code: status), headers: headers, body: body)
    }
}

extension FHIRFailure {
    var response: ModuleResponse {
        var headers = headers
        headers[.contentType] = Answer.mediaType
        return ModuleResponse(
            status: HTTPResponse.Status(code: status), headers: headers, body: ByteBuffer(bytes: outcome))
    }
}
