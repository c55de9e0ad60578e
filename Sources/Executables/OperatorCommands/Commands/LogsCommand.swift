import ArgumentParser
import CloudModel

/// `medcloud logs`
struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Show the logs of the region's processes.")

    @Argument(help: "A process, such as gateway-1, controller, control or cell-1. Default: all of them.")
    var process: String?

    @Flag(name: [.customShort("f"), .long], help: "Go on showing what is added, until Ctrl-C.")
    var follow = false

    @Option(name: [.customShort("n"), .long], help: "How many lines to show of each.")
    var lines = 20

    @OptionGroup var region: RegionOptions

    func run() async throws {
        let state = region.state
        let known = (StateDirectory.names(in: state.logsDirectory) ?? [])
            .filter { $0.hasSuffix(".log") }.map { String($0.dropLast(4)) }.sorted()
        guard !known.isEmpty else {
            throw CommandFailure(
                .notFound, "There are no logs in \(state.logsDirectory): start the region with `medcloud up`.")
        }
        var shown = known
        if let process {
            guard known.contains(process) else {
                throw CommandFailure(
                    .notFound,
                    "There is no process \(process)." + Suggestion.hint(for: process, among: known)
                        + " There are: \(known.joined(separator: ", ")).")
            }
            shown = [process]
        }
        let width = shown.map(\.count).max() ?? 0
        func line(_ name: String, _ text: String) -> String {
            shown.count == 1 ? text : name.padded(to: width) + "  " + text
        }
        var followers = shown.map { ($0, LogFollower(path: state.logFile(process: $0), fromEnd: true)) }
        for name in shown {
            for text in LogTail.lines(of: state.logFile(process: name), count: max(0, lines)) {
                Terminal.data(line(name, text))
            }
        }
        while follow {
            for index in followers.indices {
                for text in followers[index].1.newLines() { Terminal.data(line(followers[index].0, text)) }
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}

extension String {
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
