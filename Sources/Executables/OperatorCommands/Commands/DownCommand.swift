import ArgumentParser
import CloudModel
import Glibc

/// `medcloud down`
struct DownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down", abstract: "Stop the region of a state directory; its data stays.")

    @OptionGroup var region: RegionOptions

    @Option(help: "How many seconds to wait for it.")
    var timeout = 90

    func run() async throws {
        let state = region.state
        guard let supervisor = RegionLock.holder(of: state) else {
            Terminal.note("No region runs in \(state.directory).")
            return
        }
        guard kill(supervisor, SIGTERM) == 0 else {
            throw CommandFailure.system("stop process \(supervisor)", errno: errno)
        }
        let progress = Progress()
        progress.step("stopping the region of \(state.directory) (process \(supervisor))")
        let end = ContinuousClock.now + .seconds(timeout)
        while RegionLock.holder(of: state) == supervisor {
            guard ContinuousClock.now < end else {
                throw CommandFailure(
                    .failed, "It has not stopped after \(timeout) s; `medcloud logs supervisor` may tell why.")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        progress.step("stopped")
    }
}
