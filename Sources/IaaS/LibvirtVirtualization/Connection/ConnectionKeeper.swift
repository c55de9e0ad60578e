import Logging
import Synchronization
import Virtualization

/// The one connection of a driver: opened when it is needed, opened again when the daemon was away, with a pause between
/// tries that grows to five seconds.
final class ConnectionKeeper: Sendable {
    private struct State: Sendable {
        var connection: LibvirtConnection?
        var failures = 0
        var nextTry: ContinuousClock.Instant?
        var lastFailure: VirtualizationError?
        var isClosed = false
    }

    private let uri: String
    private let logger: Logger
    private let prepare: @Sendable (LibvirtConnection) throws(VirtualizationError) -> Void
    private let subscribers = Mutex<[Int: AsyncStream<InstanceEvent>.Continuation]>([:])
    private let state = Mutex(State())

    /// - Parameter prepare: run on each new connection before it is used.
    init(
        uri: String, logger: Logger,
        prepare: @escaping @Sendable (LibvirtConnection) throws(VirtualizationError) -> Void
    ) {
        self.uri = uri
        self.logger = logger
        self.prepare = prepare
    }

    /// The connection, opened if need be. Blocks; callers wait for each other while one opens it.
    func current() throws(VirtualizationError) -> LibvirtConnection {
        try state.withLock { state throws(VirtualizationError) in
            if state.isClosed { throw VirtualizationError(.unavailable, "the driver is closed") }
            // "alive" means nothing for the test driver, whose domains live and die with its connection.
            if let connection = state.connection, connection.isSimulated || connection.isAlive { return connection }
            if state.connection != nil {
                logger.notice("connection to the hypervisor lost")
                state.connection = nil
            }
            if let next = state.nextTry, ContinuousClock.now < next, let failure = state.lastFailure { throw failure }
            do throws(VirtualizationError) {
                let connection = try LibvirtConnection(uri: uri) { [weak self] event in self?.publish(event) }
                try prepare(connection)
                logger.info("connected to the hypervisor")
                state = State(connection: connection)
                return connection
            } catch {
                state.failures += 1
                state.nextTry = ContinuousClock.now + Self.pause(after: state.failures)
                state.lastFailure = VirtualizationError(.unavailable, error.message)
                if state.failures == 1 {
                    logger.warning("no connection to the hypervisor", metadata: ["error": "\(error)"])
                }
                throw VirtualizationError(.unavailable, error.message)
            }
        }
    }

    /// 0.1 s doubling up to five seconds.
    static func pause(after failures: Int) -> Duration {
        min(.milliseconds(100 << min(max(failures - 1, 0), 10)), .seconds(5))
    }

    /// Closes for good, and ends every stream of events.
    func close() {
        state.withLock { state in
            state.connection = nil
            state.isClosed = true
        }
        for continuation in subscribers.withLock({ subscribers in
            defer { subscribers = [:] }
            return Array(subscribers.values)
        }) {
            continuation.finish()
        }
    }

    // MARK: Events

    private let numbers = Atomic(0)

    /// A new stream. A listener that does not keep up loses the oldest of 1,024.
    func events() -> AsyncStream<InstanceEvent> {
        let (stream, continuation) = AsyncStream<InstanceEvent>.makeStream(bufferingPolicy: .bufferingNewest(1_024))
        let number = numbers.add(1, ordering: .relaxed).newValue
        continuation.onTermination = { [weak self] _ in
            self?.subscribers.withLock { _ = $0.removeValue(forKey: number) }
        }
        subscribers.withLock { $0[number] = continuation }
        if state.withLock({ $0.isClosed }) { continuation.finish() }
        return stream
    }

    private func publish(_ event: InstanceEvent) {
        for continuation in subscribers.withLock({ Array($0.values) }) { continuation.yield(event) }
    }
}
