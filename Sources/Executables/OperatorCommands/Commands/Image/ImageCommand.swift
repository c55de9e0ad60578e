import ArgumentParser

/// `medcloud image …`
struct ImageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "Build, list and remove the images that instances are made from.",
        subcommands: [ImageListCommand.self, ImageBuildCommand.self, ImageRemoveCommand.self])
}
