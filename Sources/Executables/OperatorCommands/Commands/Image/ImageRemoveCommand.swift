import ArgumentParser
import CloudModel
import Virtualization

/// `medcloud image remove`
struct ImageRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove an image from the region.",
        discussion: "Refused while disks of instances build on it. The machine's cache keeps it.")

    @Argument(help: "The image's name.")
    var image: String

    @OptionGroup var region: RegionOptions

    @Flag(name: .customLong("dry-run"), help: "Only say what would be removed.")
    var dryRun = false

    func run() throws {
        guard ImageManifest.isName(image) else {
            throw CommandFailure(.usage, "An image's name is of lower-case letters, digits and hyphens.")
        }
        let store = ImageStore.region(region.state)
        if dryRun {
            for file in try store.existing(image).files { Terminal.data("\(store.directory)/\(file.name)") }
            return
        }
        try store.remove(image, instances: region.state.instancesDirectory)
        Terminal.note("Removed the image \(image).")
    }
}
