import ClinicalData
import CloudHTTP
import HTTPTypes
import ModuleKit
import NIOCore
import StrictJSON

/// Concatenates the Bundle of an answer.
struct SharedBundle {
    /// FHIR's search entry modes.
    enum Mode: String {
        case match
        case outcome
    }

    /// What the answer says about itself.
    struct Issue: Sendable, Hashable {
        let severity: String
        /// A code of http://hl7.org/fhir/issue-type.
        let code: String
        /// One of docs/errors.md, where there is one for it.
        let problem: ProblemCode?
        let diagnostics: String
    }

    private let base: String
    private let type: String
    private var links: [(relation: String, url: String)] = []
    private var entries: [UInt8] = []
    /// Left out when nobody counted, or could not.
    var total: Int64?

    init(type: String = "searchset", base: String, capacity: Int = 4096) {
        self.type = type
        self.base = base
        entries.reserveCapacity(capacity)
    }

    mutating func link(_ relation: String, _ url: String) {
        links.append((relation, url))
    }

    /// - Parameter path: `Type/id`
    mutating func add(_ path: String, resource: some Sequence<UInt8>) {
        begin(path)
        entries.append(contentsOf: resource)
        end(.match)
    }

    /// One version in a history.
    mutating func addVersion(
        _ path: String, type: String, resource: [UInt8]?, version: Int32, lastUpdated: Int64, method: WriteMethod,
        isCreated: Bool
    ) {
        var json = JSONWriter(reservingCapacity: (resource?.count ?? 0) + 400)
        json.object { json in
            json.member("fullUrl", base + "/" + path)
            if let resource { json.member("resource", raw: resource) }
            json.member("request") { json in
                json.member("method", method.httpMethod)
                json.member("url", method == .create ? type : path)
            }
            json.member("response") { json in
                json.member("status", resource == nil ? "204" : isCreated ? "201" : "200")
                json.member("etag", "W/\"\(version)\"")
                json.member("lastModified", FHIRInstant.text(lastUpdated))
            }
        }
        separate()
        entries.append(contentsOf: json.bytes)
    }

    mutating func add(_ issues: [Issue]) {
        guard !issues.isEmpty else { return }
        separate()
        entries.append(contentsOf: "{\"resource\":".utf8)
        entries.append(contentsOf: Self.outcome(issues))
        end(.outcome)
    }

    private static func outcome(_ issues: [Issue]) -> [UInt8] {
        var json = JSONWriter(reservingCapacity: 256)
        json.object { json in
            json.member("resourceType", "OperationOutcome")
            json.arrayMember("issue") { json in
                for issue in issues {
                    json.object { json in
                        json.member("severity", issue.severity)
                        json.member("code", issue.code)
                        if let problem = issue.problem {
                            json.member("details") { json in
                                json.arrayMember("coding") { json in
                                    json.object { json in
                                        json.member("system", "urn:medcloud:problem")
                                        json.member("code", problem.name)
                                    }
                                }
                            }
                        }
                        json.member("diagnostics", issue.diagnostics)
                    }
                }
            }
        }
        return json.bytes
    }

    private mutating func begin(_ path: String) {
        separate()
        var json = JSONWriter(reservingCapacity: 128)
        json.string(base + "/" + path)
        entries.append(contentsOf: "{\"fullUrl\":".utf8)
        entries.append(contentsOf: json.bytes)
        entries.append(contentsOf: ",\"resource\":".utf8)
    }

    private mutating func end(_ mode: Mode) {
        entries.append(contentsOf: ",\"search\":{\"mode\":\"\(mode.rawValue)\"}}".utf8)
    }

    private mutating func separate() {
        if !entries.isEmpty { entries.append(UInt8(ascii: ",")) }
    }

    func response() -> ModuleResponse {
        var head = JSONWriter(reservingCapacity: 512)
        head.beginObject()
        head.member("resourceType", "Bundle")
        head.member("type", type)
        if let total { head.member("total", total) }
        if !links.isEmpty {
            head.arrayMember("link") { json in
                for link in links {
                    json.object { json in
                        json.member("relation", link.relation)
                        json.member("url", link.url)
                    }
                }
            }
        }
        var body = ByteBufferAllocator().buffer(capacity: head.bytes.count + entries.count + 16)
        body.writeBytes(head.bytes)
        // An empty array is no FHIR.
        if !entries.isEmpty {
            body.writeStaticString(",\"entry\":[")
            body.writeBytes(entries)
            body.writeStaticString("]")
        }
        body.writeStaticString("}")
        return ModuleResponse(status: .ok, headers: [.contentType: Problem.fhirMediaType], body: body)
    }
}

extension ModuleResponse {
    /// One resource with its version.
    static func resource(
        _ bytes: ByteBuffer, status: HTTPResponse.Status = .ok, version: Int32, lastUpdated: Int64
    ) -> ModuleResponse {
        ModuleResponse(
            status: status,
            headers: [
                .contentType: Problem.fhirMediaType, .eTag: "W/\"\(version)\"",
                .lastModified: HTTPDate.format(microsecondsSinceEpoch: lastUpdated),
            ], body: bytes)
    }
}
