import ClinicalData
import CloudHTTP
import NIOCore
import StrictJSON

/// Concatenates a Bundle out of stored bytes.
struct BundleWriter {
    private let base: String
    private let type: String
    private var links: [(relation: String, url: String)] = []
    private var entries: [UInt8] = []
    /// How many entries there are on all pages; nil when nobody counted.
    var total: Int?

    init(type: String, base: String, capacity: Int = 4096) {
        self.type = type
        self.base = base
        entries.reserveCapacity(capacity)
    }

    mutating func link(_ relation: String, _ url: String) {
        links.append((relation, url))
    }

    /// One version in a history.
    mutating func historyEntry(_ resource: StoredResource) {
        let path = resource.type.name + "/" + resource.id
        var json = JSONWriter(reservingCapacity: resource.content.readableBytes + 400)
        json.object { json in
            json.member("fullUrl", base + "/" + path)
            if !resource.isDeleted { json.member("resource", raw: resource.bytes.readableBytesView) }
            json.member("request") { json in
                json.member("method", resource.method.httpMethod)
                json.member("url", resource.method == .create ? resource.type.name : path)
            }
            json.member("response") { json in
                json.member("status", Self.status(resource))
                json.member("etag", "W/\"\(resource.version)\"")
                json.member("lastModified", FHIRInstant.text(resource.lastUpdated))
            }
        }
        append(json.bytes)
    }

    /// The answer to one entry of a batch or transaction.
    mutating func responseEntry(_ answer: Answer) {
        let size = (answer.resource?.readableBytes ?? 0) + (answer.outcome?.count ?? 0) + 300
        var json = JSONWriter(reservingCapacity: size)
        json.object { json in
            if let resource = answer.resource {
                if let location = answer.location, let path = location.split(separator: "/_history/").first {
                    json.member("fullUrl", base + "/" + path)
                }
                json.member("resource", raw: resource.readableBytesView)
            }
            json.member("response") { json in
                json.member("status", HTTPStatusText.text(answer.status))
                if let location = answer.location { json.member("location", location) }
                if let version = answer.version { json.member("etag", "W/\"\(version)\"") }
                if let lastUpdated = answer.lastUpdated {
                    json.member("lastModified", FHIRInstant.text(lastUpdated))
                }
                if let outcome = answer.outcome { json.member("outcome", raw: outcome) }
            }
        }
        append(json.bytes)
    }

    private static func status(_ resource: StoredResource) -> String {
        if resource.isDeleted { return HTTPStatusText.text(204) }
        return HTTPStatusText.text(resource.isCreated ? 201 : 200)
    }

    private mutating func append(_ entry: [UInt8]) {
        if !entries.isEmpty { entries.append(UInt8(ascii: ",")) }
        entries.append(contentsOf: entry)
    }

    func finish() -> [UInt8] {
        var json = JSONWriter(reservingCapacity: entries.count + 512)
        json.object { json in
            json.member("resourceType", "Bundle")
            json.member("type", type)
            if let total { json.member("total", total) }
            if !links.isEmpty {
                json.arrayMember("link") { json in
                    for link in links {
                        json.object { json in
                            json.member("relation", link.relation)
                            json.member("url", link.url)
                        }
                    }
                }
            }
            // An empty array is no FHIR.
            if !entries.isEmpty {
                json.key("entry")
                json.raw([[UInt8(ascii: "[")], entries, [UInt8(ascii: "]")]].joined())
            }
        }
        return json.bytes
    }
}

/// `201 Created`, as Bundle.entry.response.status wants it.
enum HTTPStatusText {
    static func text(_ status: Int) -> String {
        let reason =
            switch status {
            case 200: "OK"
            case 201: "Created"
            case 204: "No Content"
            case 304: "Not Modified"
            case 400: "Bad Request"
            case 403: "Forbidden"
            case 404: "Not Found"
            case 405: "Method Not Allowed"
            case 406: "Not Acceptable"
            case 409: "Conflict"
            case 410: "Gone"
            case 412: "Precondition Failed"
            case 413: "Content Too Large"
            case 415: "Unsupported Media Type"
            case 422: "Unprocessable Content"
            default: status < 500 ? "Refused" : "Failed"
            }
        return "\(status) \(reason)"
    }
}
