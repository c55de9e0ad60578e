import ArgumentParser
import CloudModel
import Virtualization

/// `medcloud image list`
struct ImageListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the region's images.")

    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    @Flag(help: "Compare every file with its digest.")
    var check = false

    func run() throws {
        let store = ImageStore.region(region.state)
        let images = try store.images()
        if check { for image in images { try store.check(image) } }
        let items = images.map { image in
            JSONValue.object([
                "name": .string(image.name), "source": .string(image.source), "built": .integer(image.built),
                "diskMiB": .integer(image.capacity >> 20), "memoryMiB": .integer(image.memory >> 20),
                "sha256": .string(image.disk.sha256),
            ])
        }
        let columns: [Renderer.Column] = [
            .init("IMAGE", "name"), .init("DISK MIB", "diskMiB"), .init("LEAST MEMORY MIB", "memoryMiB"),
            .init("MADE FROM", "source"),
        ]
        Terminal.data(Renderer(format: format.output, columns: columns, name: "name").list(items))
    }
}
