import ApplicationRegistry
import CloudHTTP
import CloudIdentity
import HTTPTypes
import ModuleKit
import NIOCore

/// Does a write of the platform API once for each Idempotency-Key; the same request again gets the byte-same answer.
struct IdempotentWrites: Sendable {
    let ledger: IdempotencyLedger

    /// - Throws: `Problem` 400 without a key, 409 while the first request is under way, 422 when the key came with another
    ///   body; otherwise what `work` throws, and the key is free again.
    func run(
        _ operation: String, _ request: GatewayRequest, _ work: () async throws -> ModuleResponse
    ) async throws -> ModuleResponse {
        let entry = IdempotencyLedger.Entry(
            caller: try request.caller, operation: operation, key: try request.requiredIdempotencyKey,
            body: request.bytes)
        switch try await ledger.begin(entry) {
        case .busy: throw Problem(.idempotencyInProgress, retryAfter: 1)
        case .mismatch: throw Problem(.idempotencyMismatch)
        case .done(let answer): return Self.response(answer)
        case .new: break
        }
        let response: ModuleResponse
        do {
            response = try await work()
        } catch {
            try? await ledger.finish(entry, with: nil)
            throw error
        }
        let answer = IdempotencyLedger.Answer(
            status: response.status.code, location: response.headers[.location], body: String(buffer: response.body))
        // Done is done: when its answer cannot be kept, a repetition finds its own effect by the natural key.
        try? await ledger.finish(entry, with: answer)
        return response
    }

    private static func response(_ answer: IdempotencyLedger.Answer) -> ModuleResponse {
        var response = ModuleResponse(
            status: HTTPResponse.Status(code: answer.status), body: ByteBuffer(string: answer.body))
        if !answer.body.isEmpty { response.headers[.contentType] = "application/json" }
        if let location = answer.location { response.headers[.location] = location }
        return response
    }
}
