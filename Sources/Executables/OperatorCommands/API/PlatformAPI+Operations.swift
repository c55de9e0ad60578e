import CloudModel
import Synchronization

extension PlatformAPI {
    private static func path(_ operation: String) -> String { "/v1/operations/\(FormText.escape(operation))" }

    private static func found(_ answer: RegionConnection.Answer, _ id: String) throws -> JSONValue {
        guard answer.status != 404 else {
            throw CommandFailure(
                .notFound, "There is no operation \"\(id)\"; `medcloud operation list` shows the newest.")
        }
        return try body(of: answer)
    }

    /// The newest operations, newest first.
    ///
    /// - Parameters:
    ///   - query: names and values of the list's parameters.
    ///   - limit: how many at most.
    package func operations(_ query: [(String, String)], limit: Int) async throws -> [JSONValue] {
        var items: [JSONValue] = []
        let first = query + [("limit", String(min(max(limit, 1), PageRequest.maximumLimit)))]
        var next: String? = "/v1/operations?" + FormText.encode(first)
        while let current = next, items.count < limit {
            let page = try Self.body(of: try await send("GET", current))
            items += page[key: "items"]?.elements ?? []
            next = page[key: "next"]?.string
        }
        return Array(items.prefix(limit))
    }

    package func operation(_ id: String) async throws -> JSONValue {
        try Self.found(try await send("GET", Self.path(id)), id)
    }

    /// Asks for an operation's end; the operation as it is then.
    package func cancelOperation(_ id: String) async throws -> JSONValue {
        try Self.found(try await send("POST", Self.path(id) + "/cancel"), id)
    }

    /// Follows an operation by its event stream until it has ended; connects again when the stream is cut off.
    ///
    /// - Parameter onChange: the operation after each change, the last one included.
    /// - Returns: the operation as it ended.
    /// - Throws: ``CommandFailure``: `not-found`, `unauthorized`; `unreachable` when nobody has answered for a minute.
    package func watch(
        _ id: String, _ onChange: @escaping @Sendable (JSONValue) -> Void
    ) async throws -> JSONValue {
        let place = WatchPlace()
        let heard = LastHeard()
        while true {
            var headers = [("authorization", "Bearer \(try await accessToken())")]
            if let last = place.lastEvent { headers.append(("last-event-id", last)) }
            let end = try await connection.events(
                .init(method: "GET", url: baseURL + Self.path(id) + "/events", headers: headers)
            ) { event in
                // What is not of this version's events is passed over; the region's own copy is asked for in the end.
                guard event.name == "progress" || event.name == "end",
                    let operation = try? JSONValue(parsing: event.data.utf8)
                else { return false }
                heard.now()
                place.reached(event.id, end: event.name == "end" ? operation : nil)
                onChange(operation)
                return event.name == "end"
            }
            if let ended = place.end { return ended }
            if case .refused(let answer) = end {
                guard answer.status == 503 || answer.status == 401, heard.age < Self.patience else {
                    _ = try Self.found(answer, id)
                    throw Self.failure(of: answer)
                }
            } else if heard.age >= Self.patience {
                // A stream may be silent for long when nothing happens; a region that answers is well.
                _ = try await operation(id)
                heard.now()
            }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// How long a watcher goes on without news before it asks whether the region is there at all.
    private static let patience: Duration = .seconds(60)
}

/// How far a watcher has come.
private final class WatchPlace: Sendable {
    private let state = Mutex<(lastEvent: String?, end: JSONValue?)>((nil, nil))

    var lastEvent: String? { state.withLock { $0.lastEvent } }
    var end: JSONValue? { state.withLock { $0.end } }

    func reached(_ event: String?, end: JSONValue?) {
        state.withLock { $0 = (event ?? $0.lastEvent, end) }
    }
}
