import ArgumentParser
import CloudModel

/// `medcloud docs`
struct DocsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "docs", abstract: "Open the documentation page of the running region.",
        discussion: "Prints its address; opens it where the machine has a desktop.")

    @OptionGroup var region: ConnectionOptions

    func run() async throws {
        let file = try RegionFile.read(region.state)
        let url = file.baseURL + "/docs"
        let answer = try await region.connect(trusting: file.caFile) {
            try await $0.send(.init(method: "GET", url: url))
        }
        guard answer.status == 200 else {
            throw CommandFailure(.failed, "\(url) answered \(answer.status); see `medcloud logs gateway-1`.")
        }
        Terminal.data(url)
        let environment = Environment.current
        if environment["DISPLAY"] != nil || environment["WAYLAND_DISPLAY"] != nil {
            let opener = ProcessSpecification(
                name: "xdg-open", executable: "/usr/bin/xdg-open", arguments: [url], environment: environment)
            _ = try ChildProcess.run(opener)
        }
    }
}
