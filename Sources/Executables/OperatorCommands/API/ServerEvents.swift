/// Reads a stream of server-sent events (HTML standard, §9.2.6) as it comes, in pieces of any size.
package struct ServerEvents: Sendable {
    /// One event.
    package struct Event: Sendable, Equatable {
        /// `message` unless the stream says otherwise.
        package let name: String
        /// The last id the stream has given so far; nil when there was none.
        package let id: String?
        package let data: String

        package init(name: String, id: String?, data: String) {
            self.name = name
            self.id = id
            self.data = data
        }
    }

    private var line: [UInt8] = []
    private var name = ""
    private var id: String?
    private var data: [String] = []

    package init() {}

    /// The events that are complete with `bytes`.
    package mutating func read(_ bytes: some Sequence<UInt8>) -> [Event] {
        var events: [Event] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                continue
            }
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            if let event = finish(String(decoding: line, as: UTF8.self)) { events.append(event) }
            line.removeAll(keepingCapacity: true)
        }
        return events
    }

    private mutating func finish(_ line: String) -> Event? {
        guard !line.isEmpty else {
            defer { (name, data) = ("", []) }
            return data.isEmpty
                ? nil : Event(name: name.isEmpty ? "message" : name, id: id, data: data.joined(separator: "\n"))
        }
        let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        var value = parts.count > 1 ? String(parts[1]) : ""
        if value.hasPrefix(" ") { value.removeFirst() }
        switch parts[0] {
        case "event": name = value
        case "data": data.append(value)
        case "id": id = value
        default: break  // A comment, or a field that is not for us.
        }
        return nil
    }
}
