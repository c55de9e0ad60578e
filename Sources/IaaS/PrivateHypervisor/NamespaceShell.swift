import CLinux
import Glibc

/// The outer process: makes the namespaces, starts the inner one as their first process, hands signals on, and ends as that
/// ends. When this process dies, the kernel kills the inner one, and with it everything in its namespace of processes.
package enum NamespaceShell {
    /// Returns the exit code. To be called on the main thread of a process without others.
    package static func run(_ options: HypervisorOptions, executable: String) throws(HypervisorError) -> Int32 {
        let result = cl_unshare_host()
        guard result == 0 else { throw HypervisorError("make namespaces (root is needed)", errno: result) }
        // Blocked before the child starts, so that none is lost; the child begins with none blocked.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in [SIGTERM, SIGINT, SIGCHLD] { unsafe sigaddset(&signals, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        let child = try ProgramStart.start(executable, options.insideArguments)
        while true {
            var number: Int32 = 0
            guard unsafe sigwait(&signals, &number) == 0 else { continue }
            if number != SIGCHLD {
                kill(child, SIGTERM)
                continue
            }
            var status: Int32 = 0
            if unsafe waitpid(child, &status, WNOHANG) == child {
                return status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F
            }
        }
    }
}
