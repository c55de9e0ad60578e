import CloudModel
import Foundation
import Glibc
import Logging
import Testing
import Virtualization

@testable import LibvirtVirtualization

/// A private hypervisor with the probe image, as `medcloud up` starts one, in a state directory of its own.
final class HypervisorFixture {
    let state: RegionState
    let driver: LibvirtDriver
    private var shell: Process

    /// Where the executables were built: beside the tests.
    private static let executables = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path

    /// Why there can be no hypervisor here, or nil.
    static let obstacle: String? = {
        if geteuid() != 0 { return "only root can run guests" }
        for path in [
            "/usr/sbin/libvirtd", "/usr/bin/qemu-system-x86_64", "/dev/net/tun", executables + "/medcloud-hypervisor",
        ]
        where access(path, R_OK) != 0 {
            return "\(path) is not there"
        }
        return (try? run("/usr/bin/unshare", ["--mount", "--net", "--pid", "--fork", "/bin/true"])) == nil
            ? "namespaces are not allowed" : nil
    }()

    init() throws {
        state = RegionState(directory: "/tmp/medcloud-hypervisor-\(UInt32.random(in: 0...UInt32.max))")
        for directory in [state.directory, state.imagesDirectory, state.instancesDirectory, state.hypervisorDirectory] {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            #expect(chmod(directory, 0o711) == 0)
        }
        try FileManager.default.createDirectory(atPath: state.hypervisorSockets, withIntermediateDirectories: true)
        try Self.run(Self.executables + "/medcloud", ["image", "build", "probe", "--state", state.directory])
        shell = try Self.shell(state)
        driver = LibvirtDriver(
            uri: state.hypervisorURI, agentSocket: state.hypervisorAgent,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private static func shell(_ state: RegionState) throws -> Process {
        let shell = Process()
        shell.executableURL = URL(filePath: executables + "/medcloud-hypervisor")
        shell.arguments = ["--state", state.directory, "--socket-group", "0"]
        let log = state.directory + "/log"
        try Data().write(to: URL(filePath: log))
        shell.standardOutput = FileHandle(forWritingAtPath: log)
        shell.standardError = shell.standardOutput
        try shell.run()
        return shell
    }

    /// Everything that runs in the hypervisor goes with its shell.
    deinit {
        kill(shell.processIdentifier, SIGKILL)
        shell.waitUntilExit()
        try? FileManager.default.removeItem(atPath: state.directory)
    }

    /// Asks it to stop in good order, and waits for that.
    func stop() {
        shell.terminate()
        shell.waitUntilExit()
    }

    /// Stops it in good order, and starts it again on the same state.
    func restart() throws {
        stop()
        shell = try Self.shell(state)
    }

    var log: String { (try? String(contentsOfFile: state.directory + "/log", encoding: .utf8)) ?? "" }

    /// The instance's files, by name.
    func files() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: state.instancesDirectory).sorted()
    }

    /// All that instances could leave on the host, one a line: files of libvirt's own (definitions, leases, logs), rules of the
    /// packet filters, network interfaces, processes.
    func traces() throws -> Set<String> {
        let libvirtd = try #require(processes("libvirtd").first)
        var traces: Set<String> = []
        for case let file as String in FileManager.default.enumerator(atPath: state.hypervisorDirectory) ?? .init() {
            traces.insert("file \(file)")
        }
        for command in [
            ["/usr/sbin/iptables-save"], ["/usr/sbin/ip6tables-save"], ["/usr/sbin/ebtables-save"],
            ["/usr/sbin/ip", "-o", "link"], ["/bin/ls", "/run/libvirt/qemu", "/run/libvirt/network"],
        ] {
            let words = ["--target", String(libvirtd), "--mount", "--net", "--"] + command
            for line in try Self.output("/usr/bin/nsenter", words) where !line.isEmpty && !line.hasPrefix("#") {
                // Without the counters of packets and bytes, and the numbers of interfaces.
                traces.insert(line.replacing(#/\[\d+:\d+\]|^\d+: /#, with: ""))
            }
        }
        for name in ["qemu-system", "dnsmasq", "virtlogd", "swtpm"] {
            traces.formUnion(processes(name).map { "process \(name) \($0)" })
        }
        return traces
    }

    /// Processes called `name` that descend from the hypervisor.
    func processes(_ name: String) -> [pid_t] {
        var parents: [pid_t: pid_t] = [:]
        var found: [pid_t] = []
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = pid_t(entry),
                let stat = try? String(contentsOfFile: "/proc/\(entry)/stat", encoding: .utf8),
                let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")")
            else { continue }
            let fields = stat[close...].split(separator: " ")
            parents[pid] = pid_t(fields[2])
            // A zombie is none.
            if stat[stat.index(after: open)..<close].hasPrefix(name), fields[1] != "Z" { found.append(pid) }
        }
        return found.filter { pid in
            var current = pid
            while let parent = parents[current], parent > 1 {
                if parent == shell.processIdentifier { return true }
                current = parent
            }
            return false
        }
    }

    /// Waits until `condition` holds.
    func wait(_ what: String, within limit: Duration = .seconds(60), _ condition: () async throws -> Bool) async throws
    {
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("\(what): not within \(limit)\n\(log)")
        throw VirtualizationError(.timedOut, what)
    }

    /// The hypervisor answers.
    func ready() async throws {
        try await wait("libvirtd answers") { [driver] in (try? await driver.host()) != nil }
        // Another client of the same hypervisor, as the controller and the first process are.
        let second = LibvirtDriver(
            uri: state.hypervisorURI, agentSocket: nil, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        _ = try await second.host()
    }

    /// The body of an HTTP answer of a guest, by way of the agent.
    func request(_ request: String, of address: String) throws -> String? {
        let target = try #require(IPv4Range.parse(address))
        let deadline = ContinuousClock.now + .seconds(5)
        guard
            let socket = try GuestSocket(
                address: target, port: 80, agent: state.hypervisorAgent, deadline: deadline)
        else { return nil }
        guard socket.write(request) else { return nil }
        while let line = socket.readLine(limit: 1_000), !line.isEmpty {}
        return socket.readLine(limit: 10_000)
    }

    /// What a tool prints, line by line.
    private static func output(_ path: String, _ arguments: [String]) throws -> [String] {
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(path) \(arguments)")
        return text.split(separator: "\n").map(String.init)
    }

    @discardableResult
    private static func run(_ path: String, _ arguments: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw VirtualizationError(.failed, "\(path) ended with \(process.terminationStatus)")
        }
        return 0
    }
}
