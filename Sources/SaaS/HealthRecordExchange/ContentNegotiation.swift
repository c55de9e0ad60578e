import CloudHTTP
import HTTPTypes

/// What the client sends and what it wants back. JSON only.
enum ContentNegotiation {
    private static let json = ["application/fhir+json", "application/json", "text/json"]

    /// Refuses a wish for another format than JSON: 406. `_format` counts more than Accept.
    static func checkAcceptable(_ headers: HTTPFields, _ query: HTTPQuery) throws(FHIRFailure) {
        if let format = query.first("_format") {
            // A plus in a query is a space once decoded.
            let name = format.replacing(" ", with: "+").lowercased().prefix { $0 != ";" }
            guard name == "json" || json.contains(String(name)) else {
                throw FHIRFailure(406, "not-supported", "Only JSON is served: application/fhir+json.", at: "_format")
            }
            return
        }
        guard AcceptHeader(parsing: headers[.accept]).preferred(among: json) != nil else {
            throw FHIRFailure(406, "not-supported", "Only JSON is served: application/fhir+json.")
        }
    }

    /// Refuses a resource in another format than JSON: 415.
    static func checkResource(_ headers: HTTPFields) throws(FHIRFailure) {
        try check(headers, json)
    }

    static func checkPatch(_ headers: HTTPFields) throws(FHIRFailure) {
        guard headers[.contentType] != nil else {
            throw FHIRFailure(415, "not-supported", "A patch needs a content type: application/json-patch+json.")
        }
        try check(headers, ["application/json-patch+json"])
    }

    static func checkForm(_ headers: HTTPFields) throws(FHIRFailure) {
        try check(headers, ["application/x-www-form-urlencoded"])
    }

    private static func check(_ headers: HTTPFields, _ allowed: [String]) throws(FHIRFailure) {
        guard let text = headers[.contentType] else { return }
        guard let type = MediaType(parsing: text), allowed.contains(type.essence) else {
            throw FHIRFailure(
                415, "not-supported", "The content type must be \(allowed.joined(separator: ", or ")).")
        }
        if let charset = type.parameters["charset"], charset.lowercased() != "utf-8" {
            throw FHIRFailure(415, "not-supported", "The character set must be UTF-8.")
        }
    }
}
