import Logging
import NIOCore
import NIOPosix
import PostgresDriver
import Synchronization
import Testing

let testLogger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

func testPool(
    _ configuration: PostgresConfiguration, maximumConnections: Int = 4, idleTimeout: Duration = .seconds(60),
    maximumWaiters: Int = 1000, budget: PostgresConnectionBudget? = nil
) -> PostgresPool {
    PostgresPool(
        configuration: configuration, maximumConnections: maximumConnections, idleTimeout: idleTimeout,
        maximumWaiters: maximumWaiters, leaseTimeout: .seconds(60), budget: budget,
        eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
        logger: testLogger)
}

func testPipeline(
    _ configuration: PostgresConfiguration, maximumQueued: Int = 4096, budget: PostgresConnectionBudget? = nil
) -> PostgresPipeline {
    PostgresPipeline(
        configuration: configuration, eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
        maximumQueued: maximumQueued, budget: budget, logger: testLogger)
}

/// Asks until the answer is yes, at most ten seconds. For states of the server that no event tells us about.
func expectEventually(
    sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        // Between two looks, so that looking does not keep the cores from what is looked for.
        try await Task.sleep(for: .milliseconds(2))
    }
    Issue.record("it did not happen within ten seconds", sourceLocation: sourceLocation)
}

extension PostgresPool {
    /// Statements that run in this database beside the one that asks.
    func runningStatements() async throws -> Int64 {
        try await query(
            PostgresStatement(
                """
                select count(*) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'
                    and backend_type = 'client backend'
                """))[0].int8(0)
    }
}

/// A value that concurrent tasks of a test write.
final class Guarded<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>

    init(_ value: Value) {
        mutex = Mutex(value)
    }

    func withLock<R: Sendable>(_ body: (inout Value) -> R) -> R {
        mutex.withLock { value in body(&value) }
    }
}
