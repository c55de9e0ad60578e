extension Problem {
    /// The same error as a FHIR R4 OperationOutcome, for answers inside a FHIR base.
    ///
    /// One issue for the problem itself and one a field; the request id stands in the diagnostics, so that people
    /// who see only the body can quote it.
    package func operationOutcome(requestID: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        bytes.append(contentsOf: #"{"resourceType":"OperationOutcome","issue":["#.utf8)
        let text = detail.isEmpty ? code.title : detail
        appendIssue(diagnostics: text + " (request " + requestID + ")", expression: nil, to: &bytes)
        for field in fields {
            bytes.append(UInt8(ascii: ","))
            appendIssue(diagnostics: field.detail, expression: field.pointer, to: &bytes)
        }
        bytes.append(contentsOf: "]}".utf8)
        return bytes
    }

    package static let fhirMediaType = "application/fhir+json"

    private func appendIssue(diagnostics: String, expression: String?, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: #"{"severity":"error""#.utf8)
        JSONText.appendKey("code", to: &bytes)
        JSONText.append(issueType, to: &bytes)
        JSONText.appendKey("details", to: &bytes)
        bytes.append(contentsOf: #"{"coding":[{"system":"urn:medcloud:problem","code":"#.utf8)
        JSONText.append(code.name, to: &bytes)
        bytes.append(contentsOf: "}]}".utf8)
        JSONText.appendKey("diagnostics", to: &bytes)
        JSONText.append(diagnostics, to: &bytes)
        if let expression {
            JSONText.appendKey("expression", to: &bytes)
            bytes.append(UInt8(ascii: "["))
            JSONText.append(expression, to: &bytes)
            bytes.append(UInt8(ascii: "]"))
        }
        bytes.append(UInt8(ascii: "}"))
    }

    /// The code of FHIR's required issue-type value set that says the same as the HTTP status.
    private var issueType: String {
        switch code.status {
        case 401: "login"
        case 403: "forbidden"
        case 404: "not-found"
        case 405, 406, 415, 501: "not-supported"
        case 408, 504: "timeout"
        case 409, 412: "conflict"
        case 413, 414, 431: "too-long"
        case 422: "processing"
        case 429: "throttled"
        case 503: "transient"
        case 500...: "exception"
        default: "invalid"
        }
    }
}
