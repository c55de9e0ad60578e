import Foundation
import Logging
import NIOPosix
package import PostgresDriver
import Synchronization

/// One private cluster on a Unix socket in a temporary directory, a child of the test process.
package final class TestPostgresCluster: Sendable {
    package let directory: String
    private let server = Mutex<TestPostgresProcess?>(nil)
    private let databases = Mutex(0)
    private let administration: PostgresPool
    private let gate = TestGate(width: 8)

    private static let binaries = [
        "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin",
    ]
    private static let prefix = "medcloud-test-postgres-"

    /// Blocks: makes the cluster and starts it.
    init(settings: [String]) throws {
        Self.removeDeadRuns()
        directory = NSTemporaryDirectory() + "\(Self.prefix)\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        if getuid() == 0 {
            guard let user = getpwnam("postgres"), chown(directory, user.pointee.pw_uid, user.pointee.pw_gid) == 0
            else {
                throw TestPostgresError(message: "the tests need the operating system user postgres")
            }
        }
        TestPostgresExit.remember(directory)
        administration = PostgresPool(
            configuration: PostgresConfiguration(host: directory, database: "postgres", user: "postgres"),
            maximumConnections: 2, leaseTimeout: .seconds(60), eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        let log = directory + "/log"
        let made = try TestPostgresProcess(
            Self.asPostgres(running: [
                Self.binary("initdb"), "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
                "-D", directory + "/data",
            ]), output: log)
        guard made.wait() == 0 else {
            throw TestPostgresError(message: "initdb failed: \(Self.tail(log))")
        }
        let lines =
            [
                "listen_addresses = ''", "unix_socket_directories = '\(directory)'", "max_connections = 400",
                "fsync = off", "full_page_writes = off", "shared_buffers = 64MB", "max_wal_senders = 0",
                "wal_level = minimal", "autovacuum_naptime = 10min", "lc_messages = 'C'",
            ] + settings
        let file = directory + "/data/postgresql.conf"
        let old = try String(contentsOfFile: file, encoding: .utf8)
        try (old + lines.joined(separator: "\n") + "\n").write(toFile: file, atomically: false, encoding: .utf8)
        try start()
    }

    deinit {
        server.withLock { server in
            if let server, server.isRunning { Foundation.kill(server.processID, SIGQUIT) }
        }
        TestPostgresExit.remove(directory)
    }

    /// How to enter a database of this cluster as its superuser.
    package func configuration(database: String = "postgres") -> PostgresConfiguration {
        PostgresConfiguration(host: directory, database: database, user: "postgres", applicationName: "test")
    }

    /// Process id of the postmaster, while it runs.
    package var processID: Int32? {
        server.withLock { server in server.flatMap { server in server.isRunning ? server.processID : nil } }
    }

    /// Starts the server and blocks until it takes connections.
    ///
    /// After a kill the old children may still hold the shared memory, and a new server then refuses to start: it is
    /// tried again until they are gone.
    package func start() throws {
        let deadline = Date(timeIntervalSinceNow: 60)
        let patience = Date(timeIntervalSinceNow: 10)
        var process = try spawn()
        while !isReady {
            if !process.isRunning, Date() < patience {
                usleep(20_000)
                process = try spawn()
            }
            guard process.isRunning, Date() < deadline else {
                throw TestPostgresError(message: "the test cluster did not start: \(Self.tail(directory + "/log"))")
            }
            usleep(5_000)
        }
    }

    private func spawn() throws -> TestPostgresProcess {
        let process = try TestPostgresProcess(
            Self.asPostgres(
                options: ["--pdeathsig", "QUIT"], running: [Self.binary("postgres"), "-D", directory + "/data"]),
            output: directory + "/log")
        server.withLock { server in server = process }
        return process
    }

    /// Kills the postmaster and waits for its end; its children follow it by themselves.
    package func kill(signal: Int32 = SIGKILL) {
        guard let process = server.withLock({ server in server }), process.isRunning else { return }
        Foundation.kill(process.processID, signal)
        process.wait()
    }

    /// The postmaster writes its state into the last line of its lock file (`pidfile.h`).
    private var isReady: Bool {
        guard let text = try? String(contentsOfFile: directory + "/data/postmaster.pid", encoding: .utf8) else {
            return false
        }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 8, let process = server.withLock({ server in server?.processID }) else {
            return false
        }
        return lines[0] == "\(process)" && lines[7].hasPrefix("ready")
    }

    /// A fresh database for `body`, dropped afterwards.
    package func withDatabase<R: Sendable>(
        _ body: @Sendable (PostgresConfiguration) async throws -> R
    ) async throws -> R {
        // All tests of a process run at once; a busy machine must not make them wait for each other's connections.
        try await gate.withTurn {
            try await withFreshDatabase(body)
        }
    }

    private func withFreshDatabase<R: Sendable>(
        _ body: @Sendable (PostgresConfiguration) async throws -> R
    ) async throws -> R {
        let name = databases.withLock { count in
            count += 1
            return "test_\(count)"
        }
        try await administer("create database \(name)")
        do {
            let result = try await body(configuration(database: name))
            try await administer("drop database \(name) with (force)")
            return result
        } catch {
            try? await administer("drop database \(name) with (force)")
            throw error
        }
    }

    /// Runs SQL in the database `postgres`, one statement.
    package func administer(_ sql: String) async throws {
        try await administration.withConnection { connection in try await connection.execute(sql) }
    }

    // MARK: Processes

    private static func binary(_ name: String) -> String {
        let found = binaries.first { directory in FileManager.default.isExecutableFile(atPath: directory + "/" + name) }
        return (found.map { directory in directory + "/" } ?? "") + name
    }

    /// Postgres refuses to run as root.
    private static func asPostgres(options: [String] = [], running command: [String]) -> [String] {
        let identity = getuid() == 0 ? ["--reuid=postgres", "--regid=postgres", "--clear-groups"] : []
        return ["/usr/bin/setpriv"] + identity + options + command
    }

    private static func tail(_ file: String) -> String {
        String(((try? String(contentsOfFile: file, encoding: .utf8)) ?? "").suffix(2000))
    }

    /// Directories of test processes that were killed before they could clean up.
    private static func removeDeadRuns() {
        let root = NSTemporaryDirectory()
        for name in (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? [] where name.hasPrefix(prefix) {
            guard let process = Int32(name.dropFirst(prefix.count).prefix { character in character.isNumber }),
                Foundation.kill(process, 0) != 0, errno == ESRCH
            else { continue }
            try? FileManager.default.removeItem(atPath: root + name)
        }
    }
}

package struct TestPostgresError: Error, CustomStringConvertible {
    let message: String
    package var description: String { message }
}
