import CloudHTTP
import HTTPTypes
import StrictJSON

/// What the client sends and what it wants back. JSON only.
enum ContentNegotiation {
    private static let json = ["application/fhir+json", "application/json", "text/json"]

    /// Whether a media type leaves the version of FHIR open or asks for R4 (FHIR R4 versioning.html#mt-version).
    private static func isR4(_ type: MediaType) -> Bool {
        type.parameters["fhirversion"].map { $0 == "4.0" } ?? true
    }

    /// Refuses a wish for another format than JSON: 406. `_format` counts more than Accept.
    static func checkAcceptable(_ headers: HTTPFields, _ query: HTTPQuery) throws(FHIRFailure) {
        if let format = query.first("_format") {
            // A plus in a query is a space once decoded.
            let name = format.replacing("fhir json", with: "fhir+json").lowercased()
            let type = MediaType(parsing: name)
            guard name == "json" || type.map({ json.contains($0.essence) && isR4($0) }) == true else {
                throw FHIRFailure(406, "not-supported", "Only JSON is served: application/fhir+json.", at: "_format")
            }
            return
        }
        guard AcceptHeader(parsing: headers[.accept], isServed: isR4).preferred(among: json) != nil else {
            throw FHIRFailure(406, "not-supported", "Only JSON is served: application/fhir+json.")
        }
    }

    /// Refuses a resource in another format than JSON: 415.
    static func checkResource(_ headers: HTTPFields) throws(FHIRFailure) {
        try check(headers, json)
    }

    static let patchFormats = ["application/json-patch+json", "application/merge-patch+json"]

    /// Refuses a patch in another format than these: 415.
    static func checkFormat(ofPatch headers: HTTPFields) throws(FHIRFailure) {
        guard headers[.contentType] != nil else {
            throw FHIRFailure(415, "not-supported", "A patch needs a content type: \(patchFormats[0]).")
        }
        // fhirpy sends merge patches as plain JSON.
        try check(headers, patchFormats + ["application/json"])
    }

    /// Refuses a patch that is not of the format that it says to be: 400.
    static func check(_ patch: JSONDocument, _ headers: HTTPFields) throws(FHIRFailure) {
        let type = headers[.contentType].flatMap { MediaType(parsing: $0) }
        let isOperations = type?.essence == patchFormats[0]
        guard patch.root.kind == (isOperations ? .array : .object) else {
            throw FHIRFailure(
                400, "structure", isOperations ? "A JSON Patch is an array." : "A JSON Merge Patch is an object.")
        }
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
        guard isR4(type) else { throw FHIRFailure(415, "not-supported", "Only fhirVersion=4.0 is served.") }
        if let charset = type.parameters["charset"], charset.lowercased() != "utf-8" {
            throw FHIRFailure(415, "not-supported", "The character set must be UTF-8.")
        }
    }
}
