import ClinicalData
import CloudHTTP
import CloudIdentity
import Crypto
import HTTPTypes
import ModuleKit
import NIOCore
import PostgresDriver

/// Idempotency-Key: the answer to a write is stored in the write's own transaction and given again, byte for byte, to the
/// same request; the same key with another body is refused.
struct IdempotentAnswer: Sendable {
    let client: String
    let key: String
    let method: String
    let path: String
    let bodyHash: [UInt8]

    /// nil when the request has no key.
    init?(_ request: ModuleRequest) throws(FHIRFailure) {
        guard let text = request.headers[.idempotencyKey] else { return nil }
        do throws(Problem) {
            key = try IdempotencyKey(text).text
        } catch {
            throw FHIRFailure(400, "invalid", error.detail)
        }
        client = request.context.principal.clientID
        method = request.method.rawValue
        path = "/" + request.path.joined(separator: "/") + (request.query.isEmpty ? "" : "?" + request.query)
        // What the headers ask for is part of the request: If-Match, If-None-Exist and the rest change its meaning.
        var hash = SHA256()
        for name in [HTTPField.Name.ifMatch, .ifUnmodifiedSince, .ifNoneMatch, .ifNoneExist, .contentType] {
            hash.update(data: Array((request.headers[name] ?? "").utf8) + [0])
        }
        request.body.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        bodyHash = Array(hash.finalize())
    }

    /// Answers with what is stored, or with what `body` makes, which is then stored.
    func run(
        _ exchange: Exchange, _ body: @escaping @Sendable (Session) async throws -> ModuleResponse
    ) async throws -> ModuleResponse {
        try await exchange.pooled.withTransaction { connection in
            let claimed = try await connection.query(Self.claim, identity)
            guard let row = claimed.first else { throw PostgresError(.decoding, "claim_answer gave no row") }
            switch try row.string(0) {
            case "new":
                let response = try await body(.transaction(connection))
                try await connection.query(
                    Self.remember,
                    identity + [
                        .int4(Int32(response.status.code)), .text(Self.text(response.headers)), .utf8(response.body),
                    ])
                return response
            case "replay":
                var headers = Self.headers(try row.string(2))
                headers[Self.replayed] = "true"
                return ModuleResponse(
                    status: HTTPResponse.Status(code: Int(try row.int4(1))), headers: headers, body: try row.buffer(3))
            case "mismatch":
                throw FHIRFailure(
                    422, "business-rule", "The Idempotency-Key was used for another request. Take a new one.")
            default:
                throw FHIRFailure(
                    409, "lock-error", "The same request is being worked on. Ask again when it has been answered.")
            }
        }
    }

    private var identity: [PostgresValue] {
        [.text(client), .text(key), .text(method), .text(path), .bytes(bodyHash)]
    }

    static let replayed = HTTPField.Name("Idempotent-Replayed") ?? .trailer

    /// `Name: value` lines; field values hold no line ends.
    private static func text(_ headers: HTTPFields) -> String {
        headers.map { "\($0.name.rawName): \($0.value)" }.joined(separator: "\n")
    }

    private static func headers(_ text: String) -> HTTPFields {
        var headers: HTTPFields = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let name = HTTPField.Name(String(parts[0])) else { continue }
            headers.append(HTTPField(name: name, value: String(parts[1].drop { $0 == " " })))
        }
        return headers
    }

    private static let claim = PostgresStatement(
        "select state, status, headers, body from medcloud.claim_answer($1, $2, $3, $4, $5)")
    private static let remember = PostgresStatement(
        "select medcloud.remember_answer($1, $2, $3, $4, $5, $6, $7, $8)")
}
