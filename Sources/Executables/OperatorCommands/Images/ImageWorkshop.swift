import Glibc
import Synchronization

/// Where an image is built: a folder that goes with the build however it ends, a log that stays when it fails, and the
/// machine's tools, which end when the build is cancelled.
final class ImageWorkshop: Sendable {
    let folder: String
    /// What every tool said.
    let log: String
    let progress: Progress
    private let isCancelled = Atomic(false)

    /// Makes the folder anew and empties the log.
    init(folder: String, log: String, progress: Progress) throws {
        self.folder = folder
        self.log = log
        self.progress = progress
        guard mkdir(folder, 0o700) == 0 else { throw CommandFailure.system("make \(folder)", errno: errno) }
        unlink(log)
    }

    /// Ends the tool that runs, and keeps others from being started.
    func cancel() { isCancelled.store(true, ordering: .releasing) }

    /// - Throws: `CancellationError` after ``cancel()``.
    func checkCancellation() throws {
        if isCancelled.load(ordering: .acquiring) { throw CancellationError() }
    }

    /// Runs a tool to its end.
    /// - Parameters:
    ///   - named: what to call it, where it is run by another tool.
    ///   - showing: what to show of a line of the tool while it runs; nil for a line that is of no interest.
    /// - Throws: a failure of one line that says what the tool said, and where the log is.
    func run(
        _ path: String, _ arguments: [String], named: String? = nil, environment: [String: String] = [:],
        showing: (String) -> String? = { _ in nil }
    ) throws {
        try checkCancellation()
        let name = named ?? Self.name(path)
        guard access(path, X_OK) == 0 else {
            throw CommandFailure(.refused, "\(path) is not there: run ops/up, which installs what is missing.")
        }
        var specification = ProcessSpecification(
            name: name, executable: path, arguments: arguments,
            environment: Environment.minimal.merging(environment) { _, new in new })
        specification.logFile = log
        specification.workingDirectory = folder
        var follower = LogFollower(path: log, fromEnd: true)
        var lines: [String] = []
        func look() {
            let new = follower.newLines()
            lines += new
            if let text = new.last(where: { showing($0) != nil }).flatMap(showing) { progress.status(text) }
        }
        let reason = try ChildProcess.run(specification) {
            look()
            return !isCancelled.load(ordering: .acquiring)
        }
        try checkCancellation()
        look()
        guard reason == .exited(0) else {
            throw CommandFailure(
                .failed, "\(name) ended with \(reason)\(Self.cause(lines).map { ": \($0)" } ?? ""). Its log: \(log)")
        }
    }

    static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

    /// The line that says why a tool failed: apt and debootstrap mark their errors and warnings, others say it last.
    static func cause(_ lines: [String]) -> String? {
        for mark in ["E: ", "W: Failure"] {
            if let line = lines.last(where: { $0.hasPrefix(mark) }) { return String(line.dropFirst(3)).sentence }
        }
        return lines.last { !$0.isEmpty }?.sentence
    }
}

extension String {
    /// Without the full stops and spaces at its end.
    fileprivate var sentence: String {
        var text = self[...]
        while let last = text.last, last == "." || last == " " { text.removeLast() }
        return String(text)
    }
}
