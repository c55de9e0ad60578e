import CLinux
import Foundation
import Synchronization

/// A child process of the tests. It inherits no descriptors, so that it cannot keep another's files or sockets open.
final class TestPostgresProcess: Sendable {
    let processID: Int32
    private let status = Mutex<Int32?>(nil)

    /// Starts `arguments[0]`, which must be a path; its output goes to the end of the file `output`.
    init(_ arguments: [String], output: String) throws {
        processID = try TestPostgresSpawner.onLastingThread { try Self.spawn(arguments, output: output) }
    }

    /// Whether it has not ended yet.
    var isRunning: Bool {
        status.withLock { status in
            if status != nil { return false }
            var new: Int32 = 0
            guard waitpid(processID, &new, WNOHANG) == processID else { return true }
            status = new
            return false
        }
    }

    /// Blocks until it has ended.
    /// - Returns: the status of waitpid(2); 0 is success.
    @discardableResult
    func wait() -> Int32 {
        while isRunning { usleep(2_000) }
        return status.withLock { status in status ?? 0 }
    }

    private static func spawn(_ arguments: [String], output: String) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        _ = clinux_spawn_close_from(&actions, 3)
        _ = clinux_spawn_change_directory(&actions, "/")
        // The caller's PG… variables are not for our servers.
        let environment = ProcessInfo.processInfo.environment.filter { entry in !entry.key.hasPrefix("PG") }
            .map { entry in "\(entry.key)=\(entry.value)" }
        let words: [UnsafeMutablePointer<CChar>?] = arguments.map { word in strdup(word) } + [nil]
        let variables: [UnsafeMutablePointer<CChar>?] = environment.map { variable in strdup(variable) } + [nil]
        defer { for pointer in words + variables { free(pointer) } }
        var processID: pid_t = 0
        let code = posix_spawn(&processID, arguments[0], &actions, nil, words, variables)
        guard code == 0 else {
            throw TestPostgresError(message: "\(arguments[0]) cannot be started: \(String(cString: strerror(code)))")
        }
        return processID
    }
}

/// Starts processes from one thread that lives as long as the test process: `PR_SET_PDEATHSIG` counts the end of the
/// parent *thread* as the parent's death (prctl(2)).
enum TestPostgresSpawner {
    private static let jobs = JobQueue()

    static func onLastingThread(_ body: @escaping @Sendable () throws -> Int32) throws -> Int32 {
        try jobs.run(body)
    }

    private final class JobQueue: @unchecked Sendable {
        // `condition` guards `pending`.
        private let condition = NSCondition()
        private var pending: [@Sendable () -> Void] = []

        init() {
            Thread.detachNewThread {
                while true {
                    self.condition.lock()
                    while self.pending.isEmpty { self.condition.wait() }
                    let job = self.pending.removeFirst()
                    self.condition.unlock()
                    job()
                }
            }
        }

        func run(_ body: @escaping @Sendable () throws -> Int32) throws -> Int32 {
            let done = DispatchSemaphore(value: 0)
            let result = ResultBox()
            condition.lock()
            pending.append {
                result.value.withLock { value in value = Result { try body() } }
                done.signal()
            }
            condition.signal()
            condition.unlock()
            done.wait()
            return try result.value.withLock { value in try value.get() }
        }
    }

    private final class ResultBox: Sendable {
        let value = Mutex<Result<Int32, any Error>>(.success(0))
    }
}

/// Removes what is left when the test process ends by itself.
enum TestPostgresExit {
    private static let directories = Mutex<Set<String>>([])
    private static let registration: Void = {
        atexit {
            for directory in TestPostgresExit.directories.withLock({ directories in directories }) {
                TestPostgresExit.remove(directory)
            }
        }
    }()

    static func remember(_ directory: String) {
        _ = registration
        directories.withLock { directories in _ = directories.insert(directory) }
    }

    /// Stops a server that still runs there and removes the directory.
    static func remove(_ directory: String) {
        if let text = try? String(contentsOfFile: directory + "/data/postmaster.pid", encoding: .utf8),
            let process = text.split(separator: "\n").first.flatMap({ line in Int32(line) })
        {
            kill(process, SIGQUIT)
            for _ in 0..<400 where kill(process, 0) == 0 {
                var status: Int32 = 0
                waitpid(process, &status, WNOHANG)
                usleep(5_000)
            }
        }
        try? FileManager.default.removeItem(atPath: directory)
        directories.withLock { directories in _ = directories.remove(directory) }
    }
}
