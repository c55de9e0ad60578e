import ArgumentParser
import CLinux
import CloudModel
import Foundation
import Glibc

/// `medcloud up --detach`: starts the same command again in a session of its own and waits until the region is ready.
struct DetachedStart {
    let state: RegionState

    func run() async throws {
        let users = try RegionUsers.resolve()
        let directory = StateDirectory(state: state, users: users)
        try directory.checkPlace()
        try directory.makeRoot()
        _ = try directory.content()
        if mkdir(state.logsDirectory, 0o750) != 0, errno != EEXIST {
            throw CommandFailure.system("make \(state.logsDirectory)", errno: errno)
        }
        let log = state.logFile(process: "supervisor")
        LogTail.rotate(log)
        let words = CommandLine.arguments.dropFirst().filter { $0 != "--detach" }
        let pid = try start(Array(words), log: log)
        var shown = LogFollower(path: log, fromEnd: true)
        var hasExplained = false
        var hasSaidAll = false
        func showNews() {
            // Nobody can press Ctrl-C there.
            for line in shown.newLines() {
                if line.hasPrefix("Ctrl-C stops") {
                    hasSaidAll = true
                    continue
                }
                Terminal.note(line)
                if line.hasPrefix("error: ") { hasExplained = true }
            }
        }
        while true {
            showNews()
            var status: Int32 = 0
            if waitpid(pid, &status, WNOHANG) == pid {
                showNews()
                let code = CommandFailure.Code(rawValue: (status >> 8) & 0xFF) ?? .failed
                if hasExplained { throw ExitCode(code.rawValue) }
                throw CommandFailure(code, "The region did not start (\(log)).")
            }
            if hasSaidAll { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        try await Task.sleep(for: .milliseconds(100))
        showNews()
        Terminal.note("Running in the background as process \(pid); `medcloud down` stops it.")
    }

    private func start(_ words: [String], log: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0o640)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        clinux_spawn_close_from(&actions, STDERR_FILENO + 1)
        clinux_spawn_new_session(&attributes)
        let path = try ExecutableLocation.ownPath()
        let argv: [UnsafeMutablePointer<CChar>?] =
            ([CommandLine.arguments.first ?? path] + words).map { strdup($0) } + [nil]
        defer { for word in argv { free(word) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, path, &actions, &attributes, argv, environ)
        guard result == 0 else { throw CommandFailure.system("start \(path)", errno: result) }
        return pid
    }
}
