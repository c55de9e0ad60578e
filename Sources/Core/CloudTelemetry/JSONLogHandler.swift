import Glibc
package import Logging

/// Writes one JSON object a line: `{"time":…,"level":…,"message":…,"logger":…,KEY:VALUE…}`.
///
/// A line is one `write(2)`, so lines of several threads and, on a file opened for appending, of several processes do not
/// mix. Values marked with ``Sensitivity`` are redacted. Keys of the event win over keys of the logger.
package struct JSONLogHandler: LogHandler {
    /// Where lines go. Must not block for long and must not log.
    package typealias Sink = @Sendable (_ line: [UInt8]) -> Void

    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel: Logger.Level
    private let label: String
    private let sink: Sink

    package init(label: String, level: Logger.Level = .info, sink: @escaping Sink = JSONLogHandler.standardError) {
        self.label = label
        self.logLevel = level
        self.sink = sink
    }

    /// Lines longer than this are cut, so that one event cannot fill a disk: 16 KiB.
    package static let maximumLineBytes = 16_384

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var line: [UInt8] = []
        line.reserveCapacity(256)
        line.append(contentsOf: #"{"time":"#.utf8)
        JSONLine.append(Timestamp.now(), to: &line)
        append("level", event.level.rawValue, to: &line)
        append("message", event.message.description, to: &line)
        append("logger", label, to: &line)
        if let error = event.error {
            // The type says what kind of failure it is; its description may quote data.
            append("error.type", String(describing: type(of: error)), to: &line)
        }
        var merged = metadata
        if let provided = metadataProvider?.get() { merged.merge(provided) { _, new in new } }
        if let own = event.metadata { merged.merge(own) { _, new in new } }
        for key in merged.keys.sorted() {
            guard let value = merged[key], line.count < Self.maximumLineBytes else { continue }
            line.append(UInt8(ascii: ","))
            JSONLine.append(Self.reserved.contains(key) ? "metadata." + key : key, to: &line)
            line.append(UInt8(ascii: ":"))
            Self.append(value, to: &line)
        }
        line.append(contentsOf: "}\n".utf8)
        sink(line)
    }

    private static let reserved: Set<String> = ["time", "level", "message", "logger", "error.type"]
    private static let redacted = "[redacted]"

    private func append(_ key: String, _ value: String, to line: inout [UInt8]) {
        line.append(UInt8(ascii: ","))
        JSONLine.append(key, to: &line)
        line.append(UInt8(ascii: ":"))
        JSONLine.append(value, to: &line)
    }

    private static func append(_ value: Logger.MetadataValue, to line: inout [UInt8]) {
        switch value {
        case .string(let text):
            JSONLine.append(text, to: &line)
        case .stringConvertible(let convertible):
            let isSensitive = value.attributes[Sensitivity.self] != nil
            JSONLine.append(isSensitive ? redacted : convertible.description, to: &line)
        case .array(let values):
            line.append(UInt8(ascii: "["))
            for (index, element) in values.enumerated() {
                if index > 0 { line.append(UInt8(ascii: ",")) }
                append(element, to: &line)
            }
            line.append(UInt8(ascii: "]"))
        case .dictionary(let members):
            line.append(UInt8(ascii: "{"))
            for (index, key) in members.keys.sorted().enumerated() {
                guard let member = members[key] else { continue }
                if index > 0 { line.append(UInt8(ascii: ",")) }
                JSONLine.append(key, to: &line)
                line.append(UInt8(ascii: ":"))
                append(member, to: &line)
            }
            line.append(UInt8(ascii: "}"))
        }
    }

    /// Appends the line to the process's standard error; a full pipe or disk loses it, logging never stops the service.
    @Sendable package static func standardError(_ line: [UInt8]) {
        _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

/// JSON strings for log lines: control characters escaped, long values cut at a character boundary.
enum JSONLine {
    /// Longest value in bytes; a log is no place for documents.
    static let maximumValueBytes = 2048

    static func append(_ value: String, to line: inout [UInt8]) {
        line.append(UInt8(ascii: "\""))
        var written = 0
        for scalar in value.unicodeScalars {
            guard written < maximumValueBytes else {
                line.append(contentsOf: "…".utf8)
                break
            }
            switch scalar {
            case "\"", "\\":
                line.append(UInt8(ascii: "\\"))
                line.append(UInt8(truncatingIfNeeded: scalar.value))
            case "\n":
                line.append(contentsOf: #"\n"#.utf8)
            case "\u{0}"..<" ", "\u{7F}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                line.append(contentsOf: #"\u"#.utf8)
                line.append(contentsOf: (String(repeating: "0", count: 4 - digits.utf8.count) + digits).utf8)
            default:
                line.append(contentsOf: String(scalar).utf8)
            }
            written += 1
        }
        line.append(UInt8(ascii: "\""))
    }
}

/// RFC 3339 in UTC with milliseconds.
enum Timestamp {
    static func now() -> String {
        var clock = timespec()
        clock_gettime(CLOCK_REALTIME, &clock)
        return format(seconds: clock.tv_sec, milliseconds: clock.tv_nsec / 1_000_000)
    }

    static func format(seconds: Int, milliseconds: Int) -> String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        return padded(Int(parts.tm_year) + 1900, 4) + "-" + padded(Int(parts.tm_mon) + 1, 2) + "-"
            + padded(Int(parts.tm_mday), 2) + "T" + padded(Int(parts.tm_hour), 2) + ":"
            + padded(Int(parts.tm_min), 2) + ":" + padded(Int(parts.tm_sec), 2) + "." + padded(milliseconds, 3) + "Z"
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
