import NIOCore
import StrictJSON

/// A row that goes into a bundle.
struct SearchRow: Sendable {
    let rid: Int64
    let type: ResourceType
    let id: String
    let version: Int32
    /// µs since 1970.
    let lastUpdated: Int64
    /// Stored form, see `ResourceBytes`.
    let content: ByteBuffer
}

/// Writes a searchset by concatenation: resources go in as the bytes they are.
struct SearchBundle {
    /// FHIR's search entry modes.
    enum Mode: String {
        case match, include, outcome
    }

    private(set) var bytes: [UInt8] = []
    /// Escaped, without quotes.
    private let base: [UInt8]
    private var hasEntries = false

    /// - Parameters:
    ///   - total: Left out when nil.
    ///   - links: Relation and absolute URL.
    ///   - capacity: Bytes to reserve.
    init(baseURL: String, total: Int64?, links: [(relation: String, url: String)], capacity: Int = 1024) {
        base = Array(Self.quoted(baseURL).dropFirst().dropLast())
        bytes.reserveCapacity(capacity)
        append("{\"resourceType\":\"Bundle\",\"type\":\"searchset\"")
        if let total { append(",\"total\":\(total)") }
        append(",\"link\":[")
        for (index, link) in links.enumerated() {
            append(index == 0 ? "{\"relation\":\"" : ",{\"relation\":\"")
            append(link.relation)
            append("\",\"url\":")
            bytes.append(contentsOf: Self.quoted(link.url))
            append("}")
        }
        append("]")
    }

    /// Adds a resource as it is stored, with version and time spliced in.
    mutating func add(_ row: SearchRow, mode: Mode) {
        begin(row.type, id: row.id)
        ResourceBytes.append(
            content: row.content, version: row.version, lastUpdated: row.lastUpdated, to: &bytes)
        end(mode)
    }

    /// Adds a resource whose bytes were made for this answer.
    mutating func add(_ type: ResourceType, id: String, resource: [UInt8], mode: Mode) {
        begin(type, id: id)
        bytes.append(contentsOf: resource)
        end(mode)
    }

    /// Adds an OperationOutcome about the search itself.
    mutating func addOutcome(_ issues: [(severity: String, code: String, diagnostics: String)]) {
        guard !issues.isEmpty else { return }
        separate()
        append("{\"resource\":{\"resourceType\":\"OperationOutcome\",\"issue\":[")
        for (index, issue) in issues.enumerated() {
            append(index == 0 ? "" : ",")
            append("{\"severity\":\"\(issue.severity)\",\"code\":\"\(issue.code)\",\"diagnostics\":")
            bytes.append(contentsOf: Self.quoted(issue.diagnostics))
            append("}")
        }
        append("]}")
        end(.outcome)
    }

    consuming func finish() -> [UInt8] {
        append(hasEntries ? "]}" : "}")
        return bytes
    }

    private mutating func begin(_ type: ResourceType, id: String) {
        separate()
        append("{\"fullUrl\":\"")
        bytes.append(contentsOf: base)
        append("/")
        append(type.name)
        append("/")
        append(id)
        append("\",\"resource\":")
    }

    private mutating func end(_ mode: Mode) {
        append(",\"search\":{\"mode\":\"")
        append(mode.rawValue)
        append("\"}}")
    }

    private mutating func separate() {
        append(hasEntries ? "," : ",\"entry\":[")
        hasEntries = true
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private static func quoted(_ text: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.string(text)
        return writer.bytes
    }
}
