import ArgumentParser
import CloudModel

/// `medcloud doctor`
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check everything that a region needs, and say what to do.",
        discussion: "Changes nothing. Exit code 1 when something is missing.")

    @OptionGroup var region: ConnectionOptions

    @Option(help: "The port that would be listened on.")
    var port = 8080

    @OptionGroup var format: OutputOptions

    func run() async throws {
        let findings = await Examination(state: region.state, port: port, authorities: region.ownAuthorities).run()
        let renderer = Renderer(
            format: format.output,
            columns: [.init("", "result"), .init("CHECK", "name"), .init("FOUND", "found"), .init("TO DO", "advice")],
            name: "name")
        Terminal.data(renderer.list(findings.map(\.value)))
        let bad = findings.filter { $0.result == .missing }.count
        guard bad == 0 else { throw CommandFailure(.failed, "\(bad) of \(findings.count) checks failed.") }
        Terminal.note("\(findings.count) checks, nothing missing.")
    }
}

/// What one check found.
package struct Finding: Sendable, Equatable {
    package enum Result: String, Sendable {
        case good = "ok"
        /// It will run, but could be better.
        case warning = "!"
        case missing = "FAIL"
    }

    package let name: String
    package let result: Result
    package let found: String
    package let advice: String

    package init(_ name: String, _ result: Result, _ found: String, advice: String = "") {
        self.name = name
        self.result = result
        self.found = found
        self.advice = advice
    }

    package var value: JSONValue {
        .object([
            "name": .string(name), "result": .string(result.rawValue), "found": .string(found),
            "advice": .string(advice),
        ])
    }
}
