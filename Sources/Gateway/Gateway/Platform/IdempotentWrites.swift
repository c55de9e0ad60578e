import ApplicationRegistry
import CloudHTTP
import CloudIdentity
import Coordination
import HTTPTypes
import ModuleKit
import NIOCore

/// Does a write of the platform API once for each Idempotency-Key; the same request again gets the byte-same answer.
struct IdempotentWrites: Sendable {
    let ledger: IdempotencyLedger

    /// A write whose effect is not in the control database, and the same when it is done again.
    ///
    /// - Throws: `Problem` 400 without a key, 409 while the first request is under way, 422 when the key came with another
    ///   body; otherwise what `work` throws, and the key is free again.
    func run(
        _ operation: String, _ request: GatewayRequest, _ work: () async throws -> ModuleResponse
    ) async throws -> ModuleResponse {
        try await begin(operation, request) { _, _ in try await work() }
    }

    /// A write that begins an operation, makes or changes something: the control database notes that with the request, when
    /// `work` calls it with this key, in the same transaction. An operation is not begun again: the same request gets it,
    /// whatever died in between.
    ///
    /// - Parameter work: its second argument says that what it is to make or change is so already.
    /// - Throws: as ``run(_:_:_:)``.
    func begin(
        _ operation: String, _ request: GatewayRequest,
        _ work: (_ key: RequestKey, _ isMade: Bool) async throws -> ModuleResponse
    ) async throws -> ModuleResponse {
        let entry = IdempotencyLedger.Entry(
            caller: try request.caller, operation: operation, key: try request.requiredIdempotencyKey.text,
            body: request.bytes)
        let isAlreadyMade: Bool
        switch try await ledger.begin(entry) {
        case .busy: throw Problem(.idempotencyInProgress, retryAfter: 1)
        case .mismatch: throw Problem(.idempotencyMismatch)
        case .done(let answer): return Self.response(answer)
        case .new(let isMade): isAlreadyMade = isMade
        }
        let response: ModuleResponse
        do {
            response = try await work(entry.request, isAlreadyMade)
        } catch {
            // When this fails the key is free after a minute; the error of the work is the one that counts.
            _ = try? await ledger.finish(entry, with: nil)
            throw error
        }
        let answer = IdempotencyLedger.Answer(
            status: response.status.code, location: response.headers[.location], body: String(buffer: response.body))
        // Done is done: when its answer cannot be kept, the same request finds what was begun.
        guard let kept = try? await ledger.finish(entry, with: answer), kept != answer else { return response }
        return Self.response(kept)
    }

    private static func response(_ answer: IdempotencyLedger.Answer) -> ModuleResponse {
        var response = ModuleResponse(
            status: HTTPResponse.Status(code: answer.status), body: ByteBuffer(string: answer.body))
        if !answer.body.isEmpty { response.headers[.contentType] = "application/json" }
        if let location = answer.location { response.headers[.location] = location }
        return response
    }
}
