import CloudHTTP
import HTTPTypes
import HummingbirdCore
import NIOCore
import Synchronization

/// Reads request bodies into memory, within the limit of the route and the limit of the worker.
final class BodyCollector: Sendable {
    private let capacity: Int
    private let held = Atomic<Int>(0)

    /// - Parameter capacity: bytes that all bodies together may hold.
    init(capacity: Int) {
        self.capacity = capacity
    }

    /// A collected body; its bytes count against the worker until ``BodyCollector/release(_:)``.
    struct Body: Sendable {
        var buffer: ByteBuffer
        fileprivate var counted: Int
    }

    /// - Throws: `Problem` 413 when longer than `limit`, 503 when the worker holds too much, 415 for an encoding.
    func collect(_ request: Request, limit: Int) async throws -> Body {
        if let encoding = request.headers[.contentEncoding], encoding.lowercased() != "identity" {
            throw Problem(.unsupportedMediaType, "Content-Encoding \(encoding.prefix(20)) is not understood.")
        }
        var body = Body(buffer: ByteBuffer(), counted: 0)
        if let length = request.headers[.contentLength].flatMap({ Int($0) }) {
            guard length <= limit else { throw Self.tooLarge(limit) }
            guard length > 0 else { return body }
            body.buffer.reserveCapacity(min(length, 1 << 20))
        }
        do {
            for try await chunk in request.body {
                guard body.buffer.readableBytes + chunk.readableBytes <= limit else { throw Self.tooLarge(limit) }
                let count = chunk.readableBytes
                body.counted += count
                guard held.wrappingAdd(count, ordering: .relaxed).newValue <= capacity else {
                    throw Problem(.unavailable, "The worker holds too many large bodies.", retryAfter: 2)
                }
                body.buffer.writeImmutableBuffer(chunk)
            }
        } catch {
            release(body)
            throw error
        }
        return body
    }

    func release(_ body: Body) {
        held.wrappingSubtract(body.counted, ordering: .relaxed)
    }

    private static func tooLarge(_ limit: Int) -> Problem {
        Problem(
            .contentTooLarge, limit == 0 ? "This operation takes no body." : "At most \(limit) bytes are taken here.")
    }
}
