import ClinicalData
import CloudHTTP
import HTTPTypes
import NIOCore
import StrictJSON

/// A refusal in FHIR's words: a status and the issues of an OperationOutcome.
///
/// The texts hold the caller's own input and names from the definitions, never stored data.
struct FHIRFailure: Error, Sendable {
    struct Issue: Sendable, Hashable {
        var severity = "error"
        /// A code of http://hl7.org/fhir/issue-type.
        let code: String
        let diagnostics: String
        /// A FHIRPath-like place in the request: `Patient.name[0].given`.
        var expression: String?
    }

    let status: Int
    let issues: [Issue]
    var headers: HTTPFields = [:]
    /// Of a refusal by scope, and of a write: what is to be audited before the answer leaves, once no transaction is open
    /// any more.
    var denial: AuditEntry?

    init(_ status: Int, _ issues: [Issue], headers: HTTPFields = [:]) {
        self.status = status
        self.issues = issues
        self.headers = headers
    }

    init(_ status: Int, _ code: String, _ diagnostics: String, at expression: String? = nil) {
        self.init(status, [Issue(code: code, diagnostics: diagnostics, expression: expression)])
    }

    /// The same refusal, its places seen from the bundle entry at `place`.
    func placed(_ place: String) -> FHIRFailure {
        guard !place.isEmpty else { return self }
        let issues = issues.map { issue in
            var issue = issue
            if issue.expression?.hasPrefix("Bundle.") != true { issue.expression = place }
            return issue
        }
        var failure = FHIRFailure(status, issues, headers: headers)
        failure.denial = denial
        return failure
    }

    /// Whether an issue lies in the bundle entry at `place`.
    func isAbout(_ place: String) -> Bool {
        issues.contains { $0.expression.map { $0 == place || $0.hasPrefix(place + ".") } ?? false }
    }

    /// The OperationOutcome's bytes.
    var outcome: [UInt8] { OperationOutcome.bytes(issues) }
}

/// Writes OperationOutcome resources.
enum OperationOutcome {
    static func bytes(_ issues: [FHIRFailure.Issue]) -> [UInt8] {
        var json = JSONWriter(reservingCapacity: 256)
        json.object { json in
            json.member("resourceType", "OperationOutcome")
            json.arrayMember("issue") { json in
                for issue in issues {
                    json.object { json in
                        json.member("severity", issue.severity)
                        json.member("code", issue.code)
                        json.member("diagnostics", issue.diagnostics)
                        if let expression = issue.expression {
                            json.arrayMember("expression") { $0.string(expression) }
                        }
                    }
                }
            }
        }
        return json.bytes
    }

    /// The outcome of something that went well.
    static func success(_ diagnostics: String) -> [UInt8] {
        bytes([FHIRFailure.Issue(severity: "information", code: "informational", diagnostics: diagnostics)])
    }
}

extension FHIRFailure {
    /// Bytes that are no JSON we accept.
    init(_ error: JSONError, place: String = "") {
        let status =
            switch error.code {
            case .tooLarge, .stringTooLong: 413
            default: 400
            }
        let expression = [place, error.path].filter { !$0.isEmpty }.joined(separator: ".")
        self.init(
            status, status == 413 ? "too-long" : "structure", error.message, at: expression.isEmpty ? nil : expression)
    }

    init(_ error: SearchError) {
        self.init(
            error.code == .forbidden ? 403 : 400, error.code.issueType, error.diagnostics, at: error.parameter)
        if error.code == .forbidden { headers[.wwwAuthenticate] = BearerToken.insufficientScope }
    }

    static func unknownType(_ name: String) -> FHIRFailure {
        FHIRFailure(404, "not-supported", "There is no resource type '\(name)' in FHIR R4.")
    }

    static func notFound(_ type: ResourceType, _ id: String) -> FHIRFailure {
        FHIRFailure(404, "not-found", "There is no \(type.name)/\(id).")
    }

    static func deleted(_ resource: StoredResource) -> FHIRFailure {
        var failure = FHIRFailure(410, "deleted", "\(resource.type.name)/\(resource.id) has been deleted.")
        failure.headers[.eTag] = "W/\"\(resource.version)\""
        return failure
    }

    /// A condition of RFC 9110 is false of this version.
    static func precondition(_ version: Int32) -> FHIRFailure {
        var failure = FHIRFailure(412, "conflict", "The current version is \(version).")
        failure.headers[.eTag] = "W/\"\(version)\""
        return failure
    }

    static func methodNotAllowed(_ allowed: [String]) -> FHIRFailure {
        var failure = FHIRFailure(
            405, "not-supported",
            "This method is not allowed here."
                + (allowed.isEmpty ? "" : " Allowed: \(allowed.joined(separator: ", "))."))
        failure.headers[.allow] = allowed.joined(separator: ", ")
        return failure
    }

    static func forbidden(_ permission: String, _ type: String) -> FHIRFailure {
        var failure = FHIRFailure(403, "forbidden", "The token's scopes do not allow to \(permission) \(type).")
        failure.headers[.wwwAuthenticate] = BearerToken.insufficientScope
        return failure
    }
}
