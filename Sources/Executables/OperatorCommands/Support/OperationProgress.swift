import Glibc
import Synchronization

/// Shows how far an operation is: a bar that is drawn in place on a terminal, a line for each change elsewhere.
package struct OperationProgress: Sendable {
    private let progress: Progress

    package init(_ progress: Progress = Progress()) {
        self.progress = progress
    }

    /// Follows an operation to its end.
    ///
    /// - Parameter operation: as the region answered.
    /// - Returns: the operation as it ended.
    /// - Throws: ``CommandFailure`` that says why it did not succeed.
    @discardableResult
    package func follow(_ operation: JSONValue, of api: PlatformAPI) async throws -> JSONValue {
        guard let id = operation[key: "id"]?.string else {
            throw CommandFailure(.failed, "The region's answer names no operation.")
        }
        let progress = progress
        let ended = try await api.watch(id) { progress.change(Self.line($0)) }
        if let failure = Self.failure(of: ended) { throw failure }
        return ended
    }

    /// What a person is told of an operation: `[########------------]  40 %  create-database`.
    package static func line(_ operation: JSONValue) -> String {
        let percent = Int(operation[key: "percent"]?.integer ?? 0)
        let filled = max(0, min(20, percent / 5))
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: 20 - filled)
        let number = String(repeating: " ", count: max(0, 3 - String(percent).count)) + String(percent)
        let phase = operation[key: "phase"]?.string ?? ""
        var words = phase == "running" ? "" : "  " + phase
        if let step = operation[key: "step"]?.string, phase == "running" || phase == "undoing" { words += "  " + step }
        if let message = operation[key: "message"]?.string { words += ": " + message }
        return "[\(bar)] \(number) %\(words)"
    }

    /// Why it did not succeed; nil when it did.
    package static func failure(of operation: JSONValue) -> CommandFailure? {
        let phase = operation[key: "phase"]?.string ?? ""
        guard phase != "succeeded" else { return nil }
        let kind = operation[key: "kind"]?.string ?? "operation"
        let subject = operation[key: "subject"]?.string ?? ""
        let what = subject.isEmpty ? kind : "\(kind) of \(subject)"
        let error = operation[key: "error"]
        guard let code = error?[key: "code"]?.string else {
            return CommandFailure(.refused, "\(what) was \(phase).")
        }
        return CommandFailure(
            .failed, "\(what) failed: \(error?[key: "message"]?.string ?? "no reason given") [\(code)].")
    }
}

extension Progress {
    /// A state that replaces the one before on a terminal, and is a line of its own elsewhere.
    func change(_ text: String) {
        if isatty(STDERR_FILENO) == 1 { status(text, always: true) } else { step(text) }
    }
}
