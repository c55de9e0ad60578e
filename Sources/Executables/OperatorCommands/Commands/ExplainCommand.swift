import ArgumentParser
import CloudHTTP

/// `medcloud explain`
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Explain an error code of the platform.",
        discussion: "Without a code, all of them are listed. docs/errors.md says more.")

    @Argument(help: "The code, such as idempotency-mismatch.")
    var code: String?

    @OptionGroup var format: OutputOptions

    func run() throws {
        let all = ProblemCode.all.sorted { $0.name < $1.name }
        let columns: [Renderer.Column] = [
            .init("CODE", "code"), .init("STATUS", "status"), .init("MEANING", "meaning"),
        ]
        let renderer = Renderer(format: format.output, columns: columns, name: "code")
        guard let code else {
            Terminal.data(renderer.list(all.map(Self.value)))
            return
        }
        guard let found = all.first(where: { $0.name == code }) else {
            throw CommandFailure(
                .notFound,
                "There is no error code \"\(code)\"." + Suggestion.hint(for: code, among: all.map(\.name))
                    + " `medcloud explain` lists them.")
        }
        Terminal.data(renderer.object(Self.value(found)))
    }

    private static func value(_ code: ProblemCode) -> JSONValue {
        .object(["code": .string(code.name), "status": .integer(Int64(code.status)), "meaning": .string(code.title)])
    }
}
