import CLinux
import Glibc

/// Bars of the parts of an operation. On a terminal they move in place; elsewhere each part says a line when it ends.
struct OperationBars {
    /// Bars on the screen at once; the rest is counted.
    private static let maximumBars = 12
    private static let barWidth = 20

    private let begin: ContinuousClock.Instant
    private let isTerminal = isatty(STDERR_FILENO) == 1 && Terminal.isCapable
    private let usesColor = Terminal.usesColor
    private var drawn: [String] = []
    private var ended: Set<String> = []

    /// - Parameter begin: what times are counted from.
    init(since begin: ContinuousClock.Instant) {
        self.begin = begin
    }

    /// Shows how things are now. Call it ten times a second at most.
    mutating func show(_ parts: [JSONValue]) {
        let parts = parts.sorted { Self.title($0) < Self.title($1) }
        var lines: [String] = []
        for part in parts where Self.isEnd(part) && ended.insert(Self.text(part, "id")).inserted {
            lines.append(endLine(part))
        }
        guard isTerminal else {
            for line in lines { Terminal.note(line) }
            return
        }
        var open = parts.filter { !Self.isEnd($0) }
        open.sort { Self.text($0, "phase") == "running" && Self.text($1, "phase") != "running" }
        var bars = open.prefix(Self.maximumBars).map(bar)
        if open.count > Self.maximumBars { bars.append("           … and \(open.count - Self.maximumBars) more") }
        let width = Self.terminalWidth
        if lines.isEmpty, bars == drawn { return }
        var text = drawn.isEmpty ? "" : "\u{1B}[\(drawn.count)A\r\u{1B}[J"
        for line in lines + bars { text += Self.cut(line, to: width) + "\n" }
        Terminal.write(text, to: STDERR_FILENO)
        drawn = bars
    }

    private func bar(_ part: JSONValue) -> String {
        let percent = Int(part[key: "percent"]?.integer ?? 0)
        let full = min(max(percent, 0), 100) * Self.barWidth / 100
        let line = String(repeating: "█", count: full) + String(repeating: "░", count: Self.barWidth - full)
        let doing = [part[key: "message"]?.string, part[key: "step"]?.string].compactMap { $0 }.first
        let phase = Self.text(part, "phase")
        let number = String(repeating: " ", count: max(0, 3 - String(percent).count)) + "\(percent) %"
        return "           \(line) \(number)  \(Self.title(part))  \(phase == "running" ? doing ?? "" : phase)"
    }

    private func endLine(_ part: JSONValue) -> String {
        let time = Progress.seconds(ContinuousClock.now - begin)
        let phase = Self.text(part, "phase")
        let mark = phase == "succeeded" ? paint("✓", "32") : paint("✗", "31")
        let error = part[key: "error"]?[key: "message"]?.string.map { ": \($0)" } ?? ""
        return "\(time)  \(mark) \(Self.title(part))" + (phase == "succeeded" ? "" : " \(phase)\(error)")
    }

    private func paint(_ text: String, _ code: String) -> String {
        usesColor ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    // MARK: Parts

    static func isEnd(_ operation: JSONValue) -> Bool {
        ["succeeded", "failed", "cancelled"].contains(text(operation, "phase"))
    }

    /// `tenant.create h1`, `instance.create h1/web`.
    static func title(_ operation: JSONValue) -> String {
        let subject = text(operation, "subject")
        let tenant = text(operation, "tenant")
        let names = [tenant, subject].filter { !$0.isEmpty }
        return "\(text(operation, "kind")) \(tenant == subject ? tenant : names.joined(separator: "/"))"
    }

    static func text(_ operation: JSONValue, _ key: String) -> String {
        operation[key: key]?.string ?? ""
    }

    private static var terminalWidth: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 20 else { return 80 }
        return Int(size.ws_col)
    }

    /// A line that wraps would be counted wrong when the bars are drawn anew. Colours take no room.
    private static func cut(_ line: String, to width: Int) -> String {
        var result = ""
        var room = width - 1
        var escaped = false
        for character in line {
            if character == "\u{1B}" { escaped = true }
            if !escaped {
                guard room > 0 else { continue }
                room -= 1
            }
            result.append(character)
            if escaped, character == "m" { escaped = false }
        }
        return result
    }
}
