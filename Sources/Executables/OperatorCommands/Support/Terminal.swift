import Glibc
import Synchronization

/// Where a command writes: data to standard output, everything else to standard error.
package enum Terminal {
    /// Colour only for a person: standard error is a terminal, NO_COLOR is not set, TERM is not dumb.
    package static let usesColor = usesColor(on: STDERR_FILENO)

    /// The same for another descriptor.
    package static func usesColor(on descriptor: Int32) -> Bool {
        guard isatty(descriptor) == 1 else { return false }
        if let value = getenv("NO_COLOR"), value.pointee != 0 { return false }
        return isCapable
    }

    /// Whether a terminal can move its cursor.
    static var isCapable: Bool {
        guard let term = getenv("TERM") else { return false }
        return String(cString: term) != "dumb"
    }

    /// Lines of data; an empty list of names is none.
    package static func data(_ line: String) {
        guard !line.isEmpty else { return }
        write(line + "\n", to: STDOUT_FILENO)
    }

    /// One line for the person: progress, notes, warnings.
    package static func note(_ line: String) {
        write(line + "\n", to: STDERR_FILENO)
    }

    package static func error(_ line: String) {
        note(usesColor ? "\u{1B}[31merror:\u{1B}[0m \(line)" : "error: \(line)")
    }

    static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                return
            }
            bytes = bytes.dropFirst(count)
        }
    }
}

/// Says what is being done, with the seconds since the command began: `  0.4 s  starting Postgres`.
package final class Progress: Sendable {
    package let begin = ContinuousClock.now
    private let lastStatus = Mutex<ContinuousClock.Instant?>(nil)

    package init() {}

    package func step(_ text: String) {
        let elapsed = ContinuousClock.now - begin
        let line = "\(Self.seconds(elapsed))  \(text)"
        // A status line on a terminal is overwritten by the next step.
        let hadStatus = lastStatus.withLock { value in
            defer { value = nil }
            return value != nil
        }
        Terminal.note(hadStatus && isatty(STDERR_FILENO) == 1 ? "\r\u{1B}[K" + line : line)
    }

    /// A counter that moves: rewritten in place on a terminal at most ten times a second, else printed every five seconds.
    ///
    /// - Parameter always: also when the last one is not that long ago.
    package func status(_ text: String, always: Bool = false) {
        let now = ContinuousClock.now
        let terminal = isatty(STDERR_FILENO) == 1
        let due = lastStatus.withLock { value in
            if !always, let last = value, now - last < (terminal ? .milliseconds(100) : .seconds(5)) { return false }
            value = now
            return true
        }
        guard due else { return }
        let line = "\(Self.seconds(now - begin))  \(text)"
        if terminal {
            Terminal.write("\r\u{1B}[K" + line, to: STDERR_FILENO)
        } else {
            Terminal.note(line)
        }
    }

    /// "  1.2 s" — six characters wide for the first 1,000 seconds.
    package static func seconds(_ duration: Duration) -> String {
        let tenths = Int64(duration / .milliseconds(100))
        let text = "\(tenths / 10).\(tenths % 10) s"
        return String(repeating: " ", count: max(0, 7 - text.count)) + text
    }
}
