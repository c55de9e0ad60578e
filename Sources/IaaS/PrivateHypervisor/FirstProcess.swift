import CLinux
import Foundation
import Glibc
import LibvirtVirtualization
package import Logging
import Synchronization
import Virtualization

/// The first process of the private host: runs libvirtd and starts it again when it ends, without the guests noticing; reaps
/// every orphan at once, which is what makes libvirt's own stopping fast; and stops the guests in good order at the end.
package final class FirstProcess {
    /// How long guests may take to power off when asked.
    static let guestGrace = Duration.seconds(20)
    /// A console log is emptied beyond this size.
    static let longestConsoleLog: Int64 = 8 << 20

    private let options: HypervisorOptions
    private let logger: Logger
    private var daemon: pid_t?
    private var restart = RestartPause()
    private var nextStart = ContinuousClock.now
    private var isStopping = false
    private let guests = GuestsDown()

    /// - Parameter options: those of the process.
    package init(options: HypervisorOptions, logger: Logger) {
        self.options = options
        self.logger = logger
    }

    /// Returns when everything was stopped in order. To be called on the main thread before any other is made.
    package func run() throws(HypervisorError) {
        _ = cl_die_with_parent(SIGKILL)
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in [SIGTERM, SIGINT, SIGCHLD] { unsafe sigaddset(&signals, signal) }
        // Before any thread, so that all have them blocked and only the loop below takes them.
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        umask(0o022)
        try PrivateHost(options: options).enter()
        try LibvirtConfiguration(options: options).write()
        CapabilityCache.load()
        let agent = try GuestAgent(
            path: PrivateHost.sockets + "/agent-sock", group: options.socketGroup, logger: logger)
        agent.start()
        warm()
        var nextLook = ContinuousClock.now
        while true {
            // While the guests are stopped too: that takes libvirtd.
            if daemon == nil, .now >= nextStart { startDaemon() }
            var wait = timespec(tv_sec: 0, tv_nsec: 200_000_000)
            switch unsafe sigtimedwait(&signals, nil, &wait) {
            case SIGTERM, SIGINT: beginStop()
            default: break
            }
            reap()
            if guests.areDown {
                endDaemon()
                return
            }
            if .now >= nextLook {
                nextLook = .now + .seconds(10)
                limitConsoleLogs()
                removeForgotten()
            }
        }
    }

    // MARK: libvirtd

    private func startDaemon() {
        do throws(HypervisorError) {
            let pid = try ProgramStart.start("/usr/sbin/libvirtd", [])
            daemon = pid
            restart.started(at: .now)
            logger.info("libvirtd started", metadata: ["process": "\(pid)"])
        } catch {
            nextStart = .now + restart.ended(at: .now)
            logger.error("libvirtd does not start", metadata: ["error": "\(error)"])
        }
    }

    private func reap() {
        while true {
            var status: Int32 = 0
            let pid = unsafe waitpid(-1, &status, WNOHANG)
            guard pid > 0 else { return }
            guard pid == daemon else { continue }
            daemon = nil
            nextStart = .now + restart.ended(at: .now)
            if !guests.areDown {
                logger.warning("libvirtd ended; starting it again", metadata: ["status": "\(status)"])
            }
        }
    }

    private func endDaemon() {
        guard let daemon else { return }
        kill(daemon, SIGTERM)
        let end = ContinuousClock.now + .seconds(5)
        while self.daemon != nil, ContinuousClock.now < end {
            usleep(20_000)
            reap()
        }
        // Whatever is left goes with this process.
    }

    // MARK: Guests

    private func driver() -> LibvirtDriver {
        LibvirtDriver(
            uri: "qemu+unix:///system?socket=\(PrivateHost.sockets)/libvirt-sock", agentSocket: nil, logger: logger)
    }

    /// The first client after a cold start waits for seconds while libvirt asks QEMU what it can do; that is us.
    private func warm() {
        let driver = driver()
        let logger = logger
        // Beside the loop; it ends by itself, or with the process.
        Task.detached {
            let begin = ContinuousClock.now
            while ContinuousClock.now - begin < .seconds(120) {
                do throws(VirtualizationError) {
                    let host = try await driver.host()
                    CapabilityCache.save()
                    logger.info(
                        "ready for guests",
                        metadata: ["hypervisor": "\(host.hypervisor)", "after": "\(ContinuousClock.now - begin)"])
                    return
                } catch {
                    try? await Task.sleep(for: .milliseconds(100))
                }
            }
            logger.error("libvirtd does not answer")
        }
    }

    private func beginStop() {
        guard !isStopping else { return }
        isStopping = true
        let shutdown = GuestShutdown(driver: driver(), grace: Self.guestGrace, logger: logger)
        let guests = guests
        // Beside the loop, which has to go on reaping; it ends this process when the flag is set.
        Task.detached {
            await shutdown.run()
            guests.set()
        }
    }

    /// Guests write what they like: their logs are emptied when they grow too long. QEMU appends, so it goes on at the new
    /// beginning.
    private func limitConsoleLogs() {
        for file in (try? FileManager.default.contentsOfDirectory(atPath: PrivateHost.instances)) ?? []
        where file.hasSuffix(".log") {
            let path = PrivateHost.instances + "/" + file
            var status = stat()
            if unsafe lstat(path, &status) == 0, status.st_size > Self.longestConsoleLog { unsafe truncate(path, 0) }
        }
    }

    /// When libvirt forgets a domain or a network, it keeps what QEMU said, and of networks a process id and an empty directory.
    private func removeForgotten() {
        let running = PrivateHost.sockets
        removeForgotten(
            .instance, in: "/var/log/libvirt/qemu", known: ["/etc/libvirt/qemu", running + "/qemu"])
        removeForgotten(
            .network, in: running + "/network", known: ["/etc/libvirt/qemu/networks", running + "/network"])
    }

    /// Removes what is named after something that has no `NAME.xml` in any of the directories `known`.
    private func removeForgotten(_ kind: ResourceName.Kind, in directory: String, known: [String]) {
        let files = FileManager.default
        for file in (try? files.contentsOfDirectory(atPath: directory)) ?? [] {
            guard let name = file.split(separator: ".").first.flatMap({ ResourceName(String($0)) }), name.kind == kind,
                !known.contains(where: { files.fileExists(atPath: "\($0)/\(name).xml") })
            else { continue }
            // What cannot be removed now is met again at the next look.
            try? files.removeItem(atPath: directory + "/" + file)
        }
    }
}

/// Set by the task that stops the guests, read by the loop.
private final class GuestsDown: Sendable {
    private let flag = Mutex(false)

    var areDown: Bool { flag.withLock { $0 } }
    func set() { flag.withLock { $0 = true } }
}

/// How long to wait before libvirtd is started again: not at all when it lived for a while, else 0.1 s doubling up to five
/// seconds.
struct RestartPause {
    private var quickDeaths = 0
    private var since: ContinuousClock.Instant?

    mutating func started(at now: ContinuousClock.Instant) { since = now }

    mutating func ended(at now: ContinuousClock.Instant) -> Duration {
        let lived = since.map { now - $0 } ?? .zero
        since = nil
        quickDeaths = lived < .seconds(2) ? quickDeaths + 1 : 0
        guard quickDeaths > 0 else { return .zero }
        return min(.milliseconds(100 << min(quickDeaths - 1, 10)), .seconds(5))
    }
}
