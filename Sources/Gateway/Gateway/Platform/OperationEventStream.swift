import ApplicationRegistry
import CloudHTTP
import CloudIdentity
import Coordination
import ModuleKit
import NIOCore
import StrictJSON
import Synchronization

/// An operation's progress as server-sent events (HTML standard, §9.2): `progress` for each change, `end` for the last one. The
/// id of an event is its number, so a client that reconnects with `Last-Event-ID` misses none.
final class OperationEventStream: Sendable {
    /// How long the stream is silent at most: then a comment says that the connection lives.
    static let heartbeat: Duration = .seconds(15)

    private struct State {
        var last: Int32
        var hasBegun = false
        var hasEnded = false
    }

    private let operation: OperationStatus
    private let feed: OperationFeed
    private let operations: OperationAdministration
    private let heartbeat: Duration
    /// Whether the caller's token is still good.
    private let isWelcome: @Sendable () async -> Bool
    private let state: Mutex<State>

    /// - Parameters:
    ///   - operation: as it is now.
    ///   - after: the number of the last event that the client has; 0 for none.
    init(
        _ operation: OperationStatus, after: Int32, feed: OperationFeed, operations: OperationAdministration,
        heartbeat: Duration = OperationEventStream.heartbeat, isWelcome: @escaping @Sendable () async -> Bool
    ) {
        self.operation = operation
        self.feed = feed
        self.operations = operations
        self.heartbeat = heartbeat
        self.isWelcome = isWelcome
        state = Mutex(State(last: after))
    }

    /// The next piece of the body; nil at the end. One call at a time.
    func next() async throws -> ByteBuffer? {
        let (last, isFirst, hasEnded) = state.withLock { state in
            defer { state.hasBegun = true }
            return (state.last, !state.hasBegun, state.hasEnded)
        }
        if hasEnded { return nil }
        // At once, so that the client sees that it is heard, and knows when to come back.
        if isFirst { return ByteBuffer(string: "retry: 1000\n\n") }
        guard await isWelcome() else { return nil }
        let events: [OperationEvent]
        if operation.phase.isEnd {
            events = try await operations.events(after: [operation.id: last])
            if events.isEmpty { return end(with: operation) }
        } else {
            // The worker ends: the client comes back to another.
            guard let news = await feed.events(of: operation.id, after: last, within: heartbeat) else { return nil }
            try Task.checkCancellation()
            events = news
            if events.isEmpty { return ByteBuffer(string: ": alive\n\n") }
        }
        return render(events)
    }

    private func render(_ events: [OperationEvent]) -> ByteBuffer {
        var buffer = ByteBuffer()
        for event in events {
            let isEnd = event.operation.phase.isEnd
            buffer.writeString("id: \(event.number)\n")
            write(event.operation, as: isEnd ? "end" : "progress", to: &buffer)
            state.withLock { state in
                state.last = event.number
                state.hasEnded = isEnd
            }
        }
        return buffer
    }

    /// For a client that has seen the last event already.
    private func end(with operation: OperationStatus) -> ByteBuffer {
        var buffer = ByteBuffer()
        write(operation, as: "end", to: &buffer)
        state.withLock { $0.hasEnded = true }
        return buffer
    }

    private func write(_ operation: OperationStatus, as name: String, to buffer: inout ByteBuffer) {
        var writer = JSONWriter()
        operation.write(to: &writer)
        buffer.writeString("event: \(name)\ndata: ")
        buffer.writeBytes(writer.bytes)
        buffer.writeString("\n\n")
    }
}
