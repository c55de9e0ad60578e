import ArgumentParser
import CloudModel

/// `medcloud version`
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Show the version of this build and of the state format it reads.")

    @OptionGroup var format: OutputOptions

    func run() throws {
        let value = JSONValue.object([
            "version": .string(Release.version),
            "stateFormat": .integer(Int64(RegionState.formatVersion)),
        ])
        let renderer = Renderer(
            format: format.output,
            columns: [.init("version", "version"), .init("state format", "stateFormat")], name: "version")
        Terminal.data(renderer.object(value))
    }
}
