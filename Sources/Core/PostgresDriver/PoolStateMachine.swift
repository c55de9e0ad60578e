import NIOCore

/// Decides who gets which connection and when one is opened or closed. Connections and waiters are numbers; time comes
/// in with the events.
struct PoolStateMachine {
    typealias Connection = Int
    typealias Waiter = UInt64

    enum LeaseAction: Equatable {
        case use(Connection)
        /// The caller waits; a connection is to be opened first when `open` names one.
        case wait(open: Connection?)
        case rejectClosed
        case rejectFull
    }

    enum ReadyAction: Equatable {
        case serve(Waiter, Connection)
        /// It stays open and idle.
        case park
        case close(Connection)
        case nothing
    }

    struct Follow: Equatable {
        var action: ReadyAction
        /// Connections to open now.
        var open: [Connection] = []
    }

    enum FailureAction: Equatable {
        /// The server will not have us: these waiters are told so.
        case fail([Waiter])
        case retry(after: Duration)
        case nothing
    }

    private let maximumConnections: Int
    private let maximumWaiters: Int
    private var nextConnection = 1
    private var idle: [(connection: Connection, since: NIODeadline)] = []
    private var leased: Set<Connection> = []
    private var connecting: Set<Connection> = []
    private var waiters = CircularBuffer<Waiter>()
    private var backoff = Backoff()
    private var retryIsScheduled = false
    private(set) var isShutDown = false

    init(maximumConnections: Int, maximumWaiters: Int) {
        self.maximumConnections = max(1, maximumConnections)
        self.maximumWaiters = maximumWaiters
    }

    var openOrOpening: Int { idle.count + leased.count + connecting.count }
    var idleCount: Int { idle.count }
    var waiting: Int { waiters.count }

    /// Somebody wants a connection. The most recently used idle one is given, so that the others can age.
    mutating func lease(_ waiter: Waiter) -> LeaseAction {
        if isShutDown { return .rejectClosed }
        if let (connection, _) = idle.popLast() {
            leased.insert(connection)
            return .use(connection)
        }
        guard waiters.count < maximumWaiters else { return .rejectFull }
        waiters.append(waiter)
        return .wait(open: openOne())
    }

    /// - Returns: false when the waiter has been served or failed already.
    mutating func cancel(_ waiter: Waiter) -> Bool {
        guard let index = waiters.firstIndex(of: waiter) else { return false }
        waiters.remove(at: index)
        return true
    }

    mutating func connected(_ connection: Connection, now: NIODeadline) -> Follow {
        connecting.remove(connection)
        backoff.succeeded()
        var follow = Follow(action: ready(connection, now: now))
        while let more = openOne() { follow.open.append(more) }
        return follow
    }

    mutating func connectFailed(_ connection: Connection, isPermanent: Bool, random: Double) -> FailureAction {
        connecting.remove(connection)
        let wait = backoff.failed(random: random)
        if isPermanent, openOrOpening == 0 {
            defer { waiters.removeAll() }
            return .fail(Array(waiters))
        }
        guard !waiters.isEmpty, !retryIsScheduled, !isShutDown else { return .nothing }
        retryIsScheduled = true
        return .retry(after: wait)
    }

    /// The process may have no more connections: `connection` was not opened. `retry` follows when one is free.
    mutating func connectDenied(_ connection: Connection) {
        connecting.remove(connection)
        retryIsScheduled = true
    }

    /// The wait after a failure is over.
    /// - Returns: the one connection to try.
    mutating func retry() -> Connection? {
        retryIsScheduled = false
        return openOne()
    }

    /// A leased connection came back.
    mutating func released(_ connection: Connection, isReusable: Bool, now: NIODeadline) -> Follow {
        guard leased.remove(connection) != nil else { return Follow(action: .nothing) }
        if isReusable { return Follow(action: ready(connection, now: now)) }
        var follow = Follow(action: .close(connection))
        if let more = openOne() { follow.open.append(more) }
        return follow
    }

    /// A connection ended. A leased one counts until it is released.
    /// - Returns: whether it is leased.
    mutating func lost(_ connection: Connection) -> Bool {
        idle.removeAll { entry in entry.connection == connection }
        return leased.contains(connection)
    }

    /// Connections that have been idle since `limit` or longer; they are forgotten here.
    mutating func expire(idleSince limit: NIODeadline) -> [Connection] {
        let expired = idle.filter { entry in entry.since <= limit }.map(\.connection)
        idle.removeAll { entry in entry.since <= limit }
        return expired
    }

    /// The connection idle for the longest time, forgotten here.
    mutating func shed() -> Connection? {
        idle.isEmpty ? nil : idle.removeFirst().connection
    }

    /// No lease is given from now on.
    mutating func shutDown() -> (close: [Connection], fail: [Waiter]) {
        isShutDown = true
        defer {
            idle.removeAll()
            waiters.removeAll()
        }
        return (idle.map(\.connection), Array(waiters))
    }

    private mutating func ready(_ connection: Connection, now: NIODeadline) -> ReadyAction {
        if isShutDown { return .close(connection) }
        if let waiter = waiters.popFirst() {
            leased.insert(connection)
            return .serve(waiter, connection)
        }
        idle.append((connection, now))
        return .park
    }

    /// One more connection, when a waiter has none coming and there is room.
    private mutating func openOne() -> Connection? {
        guard !isShutDown, !retryIsScheduled, connecting.count < waiters.count, openOrOpening < maximumConnections
        else {
            return nil
        }
        let connection = nextConnection
        nextConnection += 1
        connecting.insert(connection)
        return connection
    }
}
