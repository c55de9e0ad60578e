import CloudHTTP
import CloudIdentity
package import Coordination
import HTTPTypes
package import ModuleKit
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

    /// The `Idempotency-Key` that writes need.
    var requiredIdempotencyKey: IdempotencyKey {
        get throws(Problem) {
            guard let key = headers[.idempotencyKey], !key.isEmpty else { throw Problem(.idempotencyKeyRequired) }
            return try IdempotencyKey(key)
        }
    }

    /// The path's `{name}`, a UUID in canonical form.
    ///
    /// - Throws: the one 404 when it cannot be one.
    func identifier(_ name: String) throws(Problem) -> String {
        guard let text = parameters[name], Self.isUUID(text) else { throw .nothingHere }
        return text
    }

    /// 8-4-4-4-12 lower-case hexadecimal digits.
    static func isUUID(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        return parts.map(\.utf8.count) == [8, 4, 4, 4, 12]
            && parts.joined().utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
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
    /// 202: the work has begun, and this is the operation that carries it out.
    package static func accepted(_ operation: OperationStatus) -> ModuleResponse {
        var response = json(.accepted) { operation.write(to: &$0) }
        response.headers[.location] = "/v1/operations/" + operation.id
        return response
    }

    /// A JSON answer.
    static func json(_ status: HTTPResponse.Status, _ write: (inout JSONWriter) -> Void) -> ModuleResponse {
        var writer = JSONWriter()
        write(&writer)
        return ModuleResponse(
            status: status, headers: [.contentType: "application/json"], body: ByteBuffer(bytes: writer.bytes))
    }
}
