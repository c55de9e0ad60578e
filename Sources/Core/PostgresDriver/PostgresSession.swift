import CLibPQ
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// One connection and the shell around its machines: does on its event loop what `BatchFlow` and `StatementCache` decide.
///
/// Requests run in the order of submission. `maximumOutstanding` batches may be on their way at once; a request of the
/// simple protocol or a COPY runs alone.
final class PostgresSession: @unchecked Sendable {
    // Proof of @unchecked Sendable: every `var` below is read and written on `eventLoop` only, which each entry point
    // asserts; `status` is a mutex; the rest never changes.

    enum Phase {
        case unconnected, connecting, open
        case closed(PostgresError)
    }

    /// What others may know without a hop to the loop.
    struct Status: Sendable {
        /// Requests submitted and not answered.
        var inFlight = 0
        /// The server is outside any transaction, and the connection usable.
        var isIdle = false
        /// libpq's buffers have grown and do not shrink: close the connection instead of keeping it.
        var isRetired = false
        var openedAt = NIODeadline.distantPast
    }

    struct InFlight {
        let request: SessionRequest
        var deadlineTimer: Scheduled<Void>?
        /// Why the statement is being cancelled.
        var cancelReason: PostgresError?
        var graceTimer: Scheduled<Void>?
        /// The answer, kept while the cancel request is still under way.
        var reply: SessionReply?
    }

    /// A request that has left pipeline mode.
    struct Exclusive {
        let id: UInt64
        var outcomes: [StatementOutcome<PostgresResult, PostgresError>] = []
        /// COPY data still to be sent.
        var copyData: CircularBuffer<ByteBuffer>?
        var copyIsOpen = false
    }

    /// How long a cancelled statement may take to end before its connection is closed.
    static let cancelGrace: TimeAmount = .seconds(2)
    static let maximumPreparedStatements = 256
    /// A request or result of more bytes retires its connection.
    static let maximumKeptBytes = 4 << 20

    let configuration: PostgresConfiguration
    let eventLoop: any EventLoop
    let maximumOutstanding: Int
    let status = Mutex(Status())
    private let onClose: @Sendable (PostgresSession, PostgresError) -> Void
    private let onNotification: (@Sendable (PostgresNotification) -> Void)?

    var phase = Phase.unconnected
    var connection: LibPQConnection?
    var flow = BatchFlow<PostgresResult, PostgresError>()
    var cache = StatementCache(capacity: PostgresSession.maximumPreparedStatements)
    var pending = CircularBuffer<SessionRequest>()
    var inFlight: [UInt64: InFlight] = [:]
    var exclusive: Exclusive?
    var cancelsRunning = 0
    private var token: UInt64?
    private var armed: SocketNotifier.Interest?
    private var needsWrite = false
    private var connectTimer: Scheduled<Void>?
    private var connectCompletion: (@Sendable (Result<Void, PostgresError>) -> Void)?

    init(
        configuration: PostgresConfiguration,
        eventLoop: any EventLoop,
        maximumOutstanding: Int = 1,
        onNotification: (@Sendable (PostgresNotification) -> Void)? = nil,
        onClose: @escaping @Sendable (PostgresSession, PostgresError) -> Void = { _, _ in }
    ) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.maximumOutstanding = maximumOutstanding
        self.onNotification = onNotification
        self.onClose = onClose
    }

    deinit {
        if let token { SocketNotifier.shared?.unregister(token) }
    }

    var isOpen: Bool {
        if case .open = phase { true } else { false }
    }

    // MARK: Connecting

    /// Connects; `completion` runs on the loop, once.
    func connect(_ completion: @escaping @Sendable (Result<Void, PostgresError>) -> Void) {
        eventLoop.assertInEventLoop()
        guard case .unconnected = phase else {
            completion(.failure(PostgresError(.closed, "the session has been used before")))
            return
        }
        phase = .connecting
        connectCompletion = completion
        guard let notifier = SocketNotifier.shared else {
            close(PostgresError(.connection, "the kernel gives no epoll descriptor"))
            return
        }
        token = notifier.register(on: eventLoop) { [weak self] in self?.socketIsReady() }
        do {
            connection = try LibPQConnection(configuration)
        } catch {
            close(error)
            return
        }
        connectTimer = eventLoop.scheduleTask(in: .nanoseconds(configuration.connectTimeout.nanoseconds)) {
            [weak self] in
            self?.close(PostgresError(.connection, "the connection was not ready in time"))
        }
        // The manual, `PQconnectStartParams`: after the start "proceed as if PQconnectPoll had returned
        // PGRES_POLLING_WRITING".
        rearm(.write)
    }

    private func continueConnecting() {
        guard let connection else { return }
        switch connection.connect() {
        case .reading: rearm(.read)
        case .writing: rearm(.write)
        case .failed: close(connection.connectionError())
        case .done:
            guard connection.becomeNonBlocking() else {
                close(connection.connectionError())
                return
            }
            connectTimer?.cancel()
            connectTimer = nil
            phase = .open
            status.withLock { status in
                status.isIdle = true
                status.openedAt = .now()
            }
            rearm(.read)
            let completion = connectCompletion
            connectCompletion = nil
            completion?(.success(()))
            pump()
        }
    }

    // MARK: Requests

    /// Counts a request; call it where the request is made, then `submit` on the loop.
    func announce() {
        status.withLock { status in status.inFlight += 1 }
    }

    /// Queues a request that has been announced.
    func submit(_ request: SessionRequest) {
        eventLoop.assertInEventLoop()
        if case .closed(let error) = phase {
            finish(request, .failure(error))
            return
        }
        pending.append(request)
        pump()
    }

    /// Sends what may be sent now.
    func pump() {
        guard isOpen, let connection else { return }
        while cancelsRunning == 0, exclusive == nil, let request = pending.first {
            if request.cancellation?.isSet == true {
                pending.removeFirst()
                finish(request, .failure(PostgresError(.cancelled, "the task was cancelled")))
                continue
            }
            if let deadline = request.deadline, deadline <= .now() {
                pending.removeFirst()
                finish(request, .failure(PostgresError(.deadline, "the deadline passed before the statement was sent")))
                continue
            }
            switch request.work {
            case .statements(let statements):
                guard flow.outstanding < maximumOutstanding else { return }
                pending.removeFirst()
                track(request)
                sendMaintenance(connection)
                guard sendBatch(request.id, statements, connection) else {
                    close(connection.connectionError())
                    return
                }
            case .simple(let sql), .copyIn(let sql, _):
                guard flow.outstanding == 0 else { return }
                pending.removeFirst()
                track(request)
                var exclusive = Exclusive(id: request.id)
                if case .copyIn(_, let data) = request.work { exclusive.copyData = CircularBuffer(data) }
                self.exclusive = exclusive
                guard connection.exitPipeline(), connection.sendSimple(sql) else {
                    close(connection.connectionError())
                    return
                }
            }
            guard flush(connection) else { return }
        }
    }

    private func track(_ request: SessionRequest) {
        status.withLock { status in status.isIdle = false }
        var entry = InFlight(request: request)
        if let deadline = request.deadline {
            let id = request.id
            entry.deadlineTimer = eventLoop.scheduleTask(deadline: deadline) { [weak self] in
                self?.cancel(id, PostgresError(.deadline, "the deadline passed"))
            }
        }
        inFlight[request.id] = entry
    }

    /// - Returns: false when the connection had to be closed.
    func flush(_ connection: LibPQConnection) -> Bool {
        switch connection.flush() {
        case .done: needsWrite = false
        // The manual, `PQflush`: "wait for the socket to become read- or write-ready": the server may have to be read
        // before it takes more.
        case .blocked: needsWrite = true
        case .failed:
            close(connection.connectionError())
            return false
        }
        rearm(needsWrite ? [.read, .write] : .read)
        return true
    }

    private func rearm(_ interest: SocketNotifier.Interest) {
        guard let connection, let token, armed != interest else { return }
        armed = interest
        guard SocketNotifier.shared?.arm(token, socket: connection.socket, for: interest) == true else {
            close(PostgresError(.connection, "the connection's socket cannot be watched"))
            return
        }
    }

    // MARK: Answers

    private func socketIsReady() {
        eventLoop.assertInEventLoop()
        armed = nil
        switch phase {
        case .connecting: continueConnecting()
        case .open: drain()
        case .unconnected, .closed: break
        }
    }

    /// Takes in what the server has sent.
    private func drain() {
        guard let connection else { return }
        let isAlive = connection.consumeInput()
        do {
            while isOpen, flow.outstanding > 0 || exclusive != nil, !connection.isBusy {
                if exclusive != nil {
                    if try !drainExclusive(connection) { break }
                } else {
                    try drainBatch(connection)
                }
            }
        } catch {
            close(PostgresError(.protocol, error.message))
            return
        }
        guard isOpen else { return }
        while let notification = connection.nextNotification() {
            onNotification?(notification)
        }
        guard isAlive, !connection.isBad else {
            close(connection.connectionError())
            return
        }
        continueCopy(connection)
        guard isOpen, flush(connection) else { return }
        pump()
    }

    /// Ends an in-flight request, after its cancel request if there is one.
    func answer(_ id: UInt64, _ reply: SessionReply) {
        guard var entry = inFlight[id] else { return }
        if entry.cancelReason != nil, cancelsRunning > 0, isOpen {
            entry.reply = reply
            inFlight[id] = entry
            return
        }
        inFlight.removeValue(forKey: id)
        entry.deadlineTimer?.cancel()
        entry.graceTimer?.cancel()
        var reply = reply
        if let reason = entry.cancelReason {
            reply.outcomes = reply.outcomes.map { outcome in
                guard case .failure(let error) = outcome,
                    error.condition == .cancelled || error.code == .connection || error.code == .closed
                else { return outcome }
                return .failure(error.recoded(reason.code))
            }
        }
        finish(entry.request, reply)
    }

    func retire() {
        status.withLock { status in status.isRetired = true }
    }

    func finish(_ request: SessionRequest, _ reply: SessionReply) {
        let isIdle = isOpen && connection?.transactionStatus == PQTRANS_IDLE && cancelsRunning == 0
        status.withLock { status in
            status.inFlight -= 1
            status.isIdle = isIdle
        }
        request.completion(reply)
    }

    // MARK: The end

    /// Closes the connection; everything not answered fails with `error`.
    func close(_ error: PostgresError) {
        eventLoop.assertInEventLoop()
        if case .closed = phase { return }
        phase = .closed(error)
        status.withLock { status in status.isIdle = false }
        if let token { SocketNotifier.shared?.unregister(token) }
        token = nil
        connection = nil
        connectTimer?.cancel()
        exclusive = nil
        let finished = flow.lost(error)
        for batch in finished {
            answer(batch.batch, SessionReply(outcomes: batch.outcomes, isComplete: false))
        }
        for id in inFlight.keys.sorted() {
            answer(id, inFlight[id]?.reply ?? .failure(error))
        }
        while let request = pending.popFirst() {
            finish(request, .failure(error))
        }
        let completion = connectCompletion
        connectCompletion = nil
        completion?(.failure(error))
        onClose(self, error)
    }
}
