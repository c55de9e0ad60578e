import AsyncHTTPClient
import CloudModel
import NIOCore
import NIOHTTP1
import Synchronization

extension RegionConnection {
    /// Silence after which a stream is given up: the server says something every 15 seconds.
    private static let patience: Duration = .seconds(40)

    /// How a stream of events ended.
    enum StreamEnd: Sendable {
        /// The server ended it, or it was cut off or silent for too long: come back.
        case over
        /// The server refused.
        case refused(Answer)
    }

    /// Reads server-sent events until `onEvent` says that it was the last one (true) or the stream ends.
    func events(
        _ request: Request, _ onEvent: @escaping @Sendable (ServerEvents.Event) async -> Bool
    ) async throws -> StreamEnd {
        var message = HTTPClientRequest(url: request.url)
        message.method = .init(rawValue: request.method)
        for (name, value) in request.headers { message.headers.add(name: name, value: value) }
        message.headers.add(name: "user-agent", value: "medcloud/\(Release.version)")
        message.headers.add(name: "accept", value: "text/event-stream")
        let ready = message
        let heard = LastHeard()
        return try await withThrowingTaskGroup(of: StreamEnd.self) { group in
            group.addTask {
                do {
                    return try await read(ready, heard, onEvent)
                } catch let error as CancellationError {
                    throw error
                } catch {
                    return .over
                }
            }
            group.addTask {
                while heard.age < Self.patience {
                    try await Task.sleep(for: .seconds(1))
                }
                return .over
            }
            defer { group.cancelAll() }
            return try await group.next() ?? .over
        }
    }

    private func read(
        _ message: HTTPClientRequest, _ heard: LastHeard,
        _ onEvent: @Sendable (ServerEvents.Event) async -> Bool
    ) async throws -> StreamEnd {
        let response = try await client.execute(message, timeout: .minutes(15))
        heard.now()
        guard response.status == .ok else {
            let body = try await response.body.collect(upTo: 1 << 20)
            return .refused(
                Answer(
                    status: Int(response.status.code), headers: response.headers.map { ($0.name, $0.value) },
                    body: Array(body.readableBytesView)))
        }
        var events = ServerEvents()
        for try await piece in response.body {
            heard.now()
            for event in events.read(piece.readableBytesView) where await onEvent(event) { return .over }
        }
        return .over
    }
}

/// When something last came from the region.
final class LastHeard: Sendable {
    private let moment = Mutex(ContinuousClock.now)

    func now() { moment.withLock { $0 = .now } }
    var age: Duration { ContinuousClock.now - moment.withLock { $0 } }
}
