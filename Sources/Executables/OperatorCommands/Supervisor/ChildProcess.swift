import CLinux
import Glibc

/// How to start one process of the region.
package struct ProcessSpecification: Sendable, Equatable {
    package enum DeathSignal: String, Sendable {
        /// For the gateway and the controller.
        case kill = "KILL"
        /// For Postgres: immediate shutdown, which takes its own children along.
        case quit = "QUIT"
    }

    package var name: String
    package var executable: String
    package var arguments: [String]
    package var environment: [String: String]
    /// The user to run as; nil = the current one.
    package var user: SystemUser?
    /// Where standard output and error go; nil = the supervisor's own.
    package var logFile: String?
    /// A descriptor that the child gets as number 3.
    package var inherited: Int32?
    /// What the kernel sends when the supervisor dies.
    package var deathSignal: DeathSignal = .kill
    package var workingDirectory = "/"

    package init(name: String, executable: String, arguments: [String], environment: [String: String] = [:]) {
        self.name = name
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
    }

    /// The descriptor number under which a child finds ``inherited``.
    package static let inheritedNumber: Int32 = 3
}

/// Starts processes in process groups of their own, with nothing inherited but what the specification names.
///
/// `setpriv` changes the user and asks the kernel for a signal at the parent's death; it becomes the program by exec, so
/// the process id stays. "… the 'parent' in this case is considered to be the thread that created this process"
/// (prctl(2), PR_SET_PDEATHSIG): so ``spawn(_:)`` must be called from a thread that lives as long as the children shall.
package enum ChildProcess {
    package static let setpriv = "/usr/bin/setpriv"

    /// The argument vector that starts `specification`.
    package static func arguments(for specification: ProcessSpecification) -> [String] {
        var words = [setpriv]
        if let user = specification.user {
            words += ["--reuid", user.name, "--regid", String(user.gid), "--init-groups"]
        }
        words += ["--pdeathsig", specification.deathSignal.rawValue, "--no-new-privs", "--"]
        return words + [specification.executable] + specification.arguments
    }

    /// Starts a process and returns its id.
    package static func spawn(_ specification: ProcessSpecification) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        if let log = specification.logFile {
            posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0o640)
            posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        }
        var firstClosed = STDERR_FILENO + 1
        if let descriptor = specification.inherited {
            posix_spawn_file_actions_adddup2(&actions, descriptor, ProcessSpecification.inheritedNumber)
            firstClosed = ProcessSpecification.inheritedNumber + 1
        }
        clinux_spawn_close_from(&actions, firstClosed)
        clinux_spawn_change_directory(&actions, specification.workingDirectory)

        // Ctrl-C reaches the supervisor only; ignored or blocked signals are not handed down.
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)

        let words = arguments(for: specification)
        let variables = specification.environment.map { "\($0.key)=\($0.value)" }.sorted()
        var pid: Int32 = 0
        let result = withCStrings(words) { argv in
            withCStrings(variables) { envp in posix_spawn(&pid, setpriv, &actions, &attributes, argv, envp) }
        }
        guard result == 0 else { throw CommandFailure.system("start \(specification.name)", errno: result) }
        return pid
    }

    /// Waits for a child's end, on the calling thread, and says how it ended.
    package static func wait(_ pid: Int32) -> ExitReason {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {
            if errno != EINTR { return .exited(255) }
        }
        return reason(status)
    }

    private static func reason(_ status: Int32) -> ExitReason {
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF) : .signalled(signal)
    }

    /// Runs a short command to its end; its standard output and error go to `logFile`.
    package static func run(_ specification: ProcessSpecification) throws -> ExitReason {
        wait(try spawn(specification))
    }

    /// The same, calling `goesOn` fifty times a second; when that says false, the process and its group are killed.
    ///
    /// - Parameter grace: how long the process has to end by itself when it is told to, before it is killed.
    package static func run(
        _ specification: ProcessSpecification, while goesOn: () -> Bool, grace: Duration = .zero
    ) throws -> ExitReason {
        let pid = try spawn(specification)
        var end: ContinuousClock.Instant?
        while true {
            if end == nil, !goesOn() {
                end = .now + grace
                if grace > .zero { kill(pid, SIGTERM) }
            }
            if let end, ContinuousClock.now >= end { break }
            var status: Int32 = 0
            if waitpid(pid, &status, WNOHANG) == pid { return reason(status) }
            usleep(20_000)
        }
        kill(-pid, SIGKILL)
        return wait(pid)
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        let copies: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
        defer { for copy in copies { free(copy) } }
        return copies.withUnsafeBufferPointer { buffer in
            // An array of at least one element has a base address.
            guard let base = buffer.baseAddress else { preconditionFailure("an array with a terminator is empty") }
            return body(base)
        }
    }
}

/// How a process ended.
package enum ExitReason: Sendable, Equatable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)

    package var description: String {
        switch self {
        case .exited(let code): "exit code \(code)"
        case .signalled(let number): "signal \(number)"
        }
    }
}
