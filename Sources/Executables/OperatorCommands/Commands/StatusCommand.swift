import ArgumentParser
import CloudModel
import Glibc
import NIOCore

/// `medcloud status`
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the region's processes and whether it answers.",
        discussion: "Exit code 5 when the region does not run or is not ready.")

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let state = region.state
        let file = try RegionFile.read(state)
        let holder = RegionLock.holder(of: state)
        let runs = holder == file.supervisor
        var isReady = false
        if runs {
            isReady = try await region.connect(trusting: file.caFile) { connection in
                let request = RegionConnection.Request(
                    method: "GET", url: file.baseURL + "/readyz", timeout: .seconds(3))
                // A worker that is just being replaced, or a busy machine, is no region that does not answer.
                let deadline = ContinuousClock.now + .seconds(3)
                repeat {
                    // Any failure counts as no answer.
                    if (try? await connection.send(request))?.status == 200 { return true }
                    try await Task.sleep(for: .milliseconds(100))
                } while ContinuousClock.now < deadline
                return false
            }
        }
        let phase = runs ? (file.phase == .ready && !isReady ? "not answering" : file.phase.rawValue) : "stopped"
        print(file, phase: phase, runs: runs, state: state)
        guard isReady else {
            throw CommandFailure(
                .unreachable,
                runs
                    ? "The region is \(phase); `medcloud logs` may tell why."
                    : "The region does not run: `medcloud up`.")
        }
    }

    private func print(_ file: RegionFile, phase: String, runs: Bool, state: RegionState) {
        let processes = file.processes.map { process in
            JSONValue.object([
                "name": .string(process.name),
                "state": .string(runs ? process.state : "stopped"),
                "pid": runs ? process.pid.map { .integer(Int64($0)) } ?? .null : .null,
                "restarts": .integer(Int64(process.restarts)),
                "memoryMiB": runs ? process.pid.flatMap(Self.memory).map { .integer($0) } ?? .null : .null,
                "uptimeSeconds": runs ? process.since.map { .integer(Int64(time(nil)) - $0) } ?? .null : .null,
            ])
        }
        let whole = JSONValue.object([
            "phase": .string(phase), "baseURL": .string(file.baseURL), "state": .string(state.directory),
            "version": .string(file.version), "supervisor": .integer(Int64(file.supervisor)),
            "readyAfterMilliseconds": file.readyAfter.map { .integer(Int64($0)) } ?? .null,
            "processes": .array(processes),
        ])
        let columns: [Renderer.Column] = [
            .init("PROCESS", "name"), .init("STATE", "state"), .init("PID", "pid"), .init("RESTARTS", "restarts"),
            .init("MIB", "memoryMiB"), .init("UP", "uptimeSeconds"),
        ]
        let renderer = Renderer(format: format.output, columns: columns, name: "name")
        switch format.output {
        case .table:
            Terminal.data("\(file.baseURL)  \(phase)  \(state.directory)")
            Terminal.data(renderer.list(processes))
        case .name: Terminal.data(renderer.list(processes))
        case .json, .yaml: Terminal.data(renderer.object(whole))
        }
    }

    /// Resident memory in MiB.
    private static func memory(_ pid: Int32) -> Int64? {
        guard let text = DurableFile.text("/proc/\(pid)/statm") else { return nil }
        let fields = text.split(separator: " ")
        guard fields.count > 1, let resident = Int64(fields[1]) else { return nil }
        return (resident * Int64(sysconf(Int32(_SC_PAGESIZE)))) >> 20
    }
}
