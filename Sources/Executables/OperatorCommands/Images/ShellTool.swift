import Foundation
import Glibc

/// Programs of the machine that build images. Each gets its words as a vector, never through a shell.
enum ShellTool {
    /// How long a program that is told to end may take to put things in order.
    private static let grace = Duration.seconds(10)

    /// Runs to the end, or until `goesOn` says false; what it says is shown only when it fails.
    static func run(
        _ path: String, _ arguments: [String], in directory: String = "/", environment: [String: String] = [:],
        while goesOn: () -> Bool = { true }
    ) throws {
        _ = try output(path, arguments, in: directory, environment: environment, while: goesOn)
    }

    /// Lines of standard output.
    static func lines(_ path: String, _ arguments: [String]) throws -> [String] {
        try output(path, arguments, in: "/", environment: [:]).split(separator: "\n").map(String.init)
    }

    private static func output(
        _ path: String, _ arguments: [String], in directory: String, environment: [String: String],
        while goesOn: () -> Bool = { true }
    ) throws -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        guard access(path, X_OK) == 0 else {
            throw CommandFailure(.refused, "\(path) is not there: run ops/up, which installs what is missing.")
        }
        let folder = NSTemporaryDirectory() + "/medcloud-\(name)-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        defer { unlink(folder) }
        var specification = ProcessSpecification(
            name: name, executable: path, arguments: arguments,
            environment: Environment.minimal.merging(environment) { _, new in new })
        specification.logFile = folder
        specification.workingDirectory = directory
        let reason = try ChildProcess.run(specification, while: goesOn, grace: grace)
        let text = DurableFile.text(folder) ?? ""
        guard reason == .exited(0) else {
            let last = text.split(separator: "\n").suffix(8).map { "\n    " + $0 }.joined()
            throw CommandFailure(.failed, "\(name) ended with \(reason).\(last)")
        }
        return text
    }
}
