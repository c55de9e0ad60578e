import CloudHTTP
import CloudIdentity
import HTTPTypes
import ModuleKit
import NIOCore
import StrictJSON

// What every operation of `/v1` asks of its request, and how it answers.
extension GatewayRequest {
    /// The caller, on routes that have one.
    var caller: Principal {
        get throws(Problem) {
            guard let principal else { throw Problem(.unauthenticated) }
            return principal
        }
    }

    /// The `Idempotency-Key` that writes need: 1…255 printable ASCII characters.
    var requiredIdempotencyKey: String {
        get throws(Problem) {
            guard let key = headers[.idempotencyKey], !key.isEmpty else { throw Problem(.idempotencyKeyRequired) }
            guard key.utf8.count <= 255, key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw Problem(
                    .invalidInput, "The key must be 1 to 255 printable ASCII characters.",
                    fields: [Problem.Field(pointer: "header:Idempotency-Key", detail: "not a key")])
            }
            return key
        }
    }

    /// The body as a strict JSON object.
    var jsonObject: JSONNode {
        get throws {
            let type = headers[.contentType].flatMap { MediaType(parsing: $0) }?.essence
            guard type == "application/json" else {
                throw Problem(.unsupportedMediaType, "The body must be application/json.")
            }
            let root = try JSONDocument(bytes).root
            guard root.kind == .object else { throw Problem(.malformedJSON, "The body must be a JSON object.") }
            return root
        }
    }
}

extension ModuleResponse {
    /// A JSON answer.
    static func json(_ status: HTTPResponse.Status, _ write: (inout JSONWriter) -> Void) -> ModuleResponse {
        var writer = JSONWriter()
        write(&writer)
        return ModuleResponse(
            status: status, headers: [.contentType: "application/json"], body: ByteBuffer(bytes: writer.bytes))
    }
}
