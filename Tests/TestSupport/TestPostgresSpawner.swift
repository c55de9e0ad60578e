import Foundation
import Synchronization

/// Starts servers from one thread that lives as long as the process: `PR_SET_PDEATHSIG` counts the end of the parent
/// *thread* as the parent's death (prctl(2)).
enum TestPostgresSpawner {
    private static let jobs = JobQueue()

    static func spawn(_ program: String, _ arguments: [String], output: String) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        process.standardInput = FileHandle.nullDevice
        if !FileManager.default.fileExists(atPath: output) {
            _ = FileManager.default.createFile(atPath: output, contents: nil)
        }
        let log = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
        try log.seekToEnd()
        process.standardOutput = log
        process.standardError = log
        try jobs.run { try process.run() }
        return process
    }

    private final class JobQueue: @unchecked Sendable {
        // `condition` guards `pending`.
        private let condition = NSCondition()
        private var pending: [() -> Void] = []

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

        func run(_ body: @escaping () throws -> Void) throws {
            let done = DispatchSemaphore(value: 0)
            nonisolated(unsafe) var result: Result<Void, any Error> = .success(())
            condition.lock()
            pending.append {
                result = Result { try body() }
                done.signal()
            }
            condition.signal()
            condition.unlock()
            done.wait()
            try result.get()
        }
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
