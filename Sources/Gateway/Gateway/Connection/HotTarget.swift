import HTTPTypes

/// `/t/{tenant}/fhir/{type}/{id}` without escapes, query or anything else.
struct HotTarget: Sendable, Hashable {
    let tenant: Substring
    let type: Substring
    let id: Substring

    init?(_ path: String) {
        guard path.hasPrefix("/t/") else { return nil }
        // A fixed set of bytes: no escape, no query, no dot segment can hide in what passes.
        var fields: (Substring, Substring, Substring, Substring) = ("", "", "", "")
        var count = 0
        var rest = path.dropFirst(3)
        while true {
            let end = rest.utf8.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
            let part = rest[..<end]
            guard !part.isEmpty, part.utf8.allSatisfy(Self.isPlain) else { return nil }
            switch count {
            case 0: fields.0 = part
            case 1: fields.1 = part
            case 2: fields.2 = part
            case 3: fields.3 = part
            default: return nil
            }
            count += 1
            guard end != rest.endIndex else { break }
            rest = rest[rest.index(after: end)...]
        }
        guard count == 4, fields.1 == "fhir", fields.3.utf8.count <= 64, fields.3 != ".", fields.3 != "..",
            let first = fields.2.utf8.first, UInt8(ascii: "A")...UInt8(ascii: "Z") ~= first
        else { return nil }
        tenant = fields.0
        type = fields.2
        id = fields.3
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}

/// What a head says that matters to a hot read, in one pass over its fields.
struct HeadHints: Sendable {
    private(set) var authorization: String?
    private(set) var requestID: String?

    /// Nil when a field asks for something that only the ordinary way does: a body, a condition, another format, CORS.
    init?(_ fields: HTTPFields) {
        for field in fields {
            switch field.name.canonicalName {
            case "authorization":
                guard authorization == nil else { return nil }
                authorization = field.value
            case "x-request-id":
                requestID = field.value
            case "accept":
                guard Self.acceptsJSON(field.value) else { return nil }
            case "content-length":
                guard field.value == "0" else { return nil }
            case "connection":
                guard field.value.lowercased() == "keep-alive" else { return nil }
            case "transfer-encoding", "origin", "if-none-match", "if-modified-since", "if-match", "if-unmodified-since",
                "if-range", "range", "expect", "upgrade", "prefer", "idempotency-key":
                return nil
            default:
                continue
            }
        }
    }

    /// The values that clients really send; anything else is negotiated by the module.
    private static func acceptsJSON(_ value: String) -> Bool {
        switch value {
        case "*/*", "application/fhir+json", "application/json", "application/fhir+json, application/json",
            "application/json, application/fhir+json", "application/fhir+json;q=1.0, application/json;q=0.9":
            true
        default: false
        }
    }
}
