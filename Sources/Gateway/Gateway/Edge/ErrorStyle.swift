import CloudHTTP
import HTTPTypes
import ModuleKit
import NIOCore

/// In which form errors leave: OperationOutcome inside a FHIR base, problem details elsewhere.
enum ErrorStyle: Sendable, Hashable {
    case problem
    case operationOutcome

    /// The style of a path, known before anything else is: `/t/{tenant}/fhir…` and `/region/fhir…` are FHIR.
    init(path: [String]) {
        let isTenantBase = path.count >= 3 && path[0] == "t" && path[2] == "fhir"
        let isRegionBase = path.count >= 2 && path[0] == "region" && path[1] == "fhir"
        self = isTenantBase || isRegionBase ? .operationOutcome : .problem
    }

    /// The same of a request target as it was sent, however long.
    init(target: String) {
        let segments = target.prefix { $0 != "?" }.split(separator: "/", maxSplits: 3)
        self.init(path: segments.map(String.init))
    }

    /// The answer for a problem.
    func response(_ problem: Problem, requestID: String, typeBase: String) -> ModuleResponse {
        var response: ModuleResponse
        switch self {
        case .problem:
            response = ModuleResponse(
                status: HTTPResponse.Status(code: problem.code.status),
                headers: [.contentType: Problem.mediaType],
                body: ByteBuffer(bytes: problem.body(requestID: requestID, typeBase: typeBase)))
        case .operationOutcome:
            response = ModuleResponse(
                status: HTTPResponse.Status(code: problem.code.status),
                headers: [.contentType: Problem.fhirMediaType],
                body: ByteBuffer(bytes: problem.operationOutcome(requestID: requestID)))
        }
        if let seconds = problem.retryAfter { response.headers[.retryAfter] = String(seconds) }
        if !problem.allow.isEmpty { response.headers[.allow] = problem.allow.joined(separator: ", ") }
        return response
    }
}
