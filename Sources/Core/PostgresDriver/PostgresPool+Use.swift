package import NIOCore
import Synchronization

/// How a transaction sees others' (manual, "Transaction Isolation").
package enum PostgresIsolation: String, Sendable {
    case readCommitted = "read committed"
    case repeatableRead = "repeatable read"
    case serializable
}

extension PostgresPool {
    /// Lends a connection to `body`. A connection that comes back inside a transaction or busy is closed. What `SET`
    /// changed stays for its next user: use `set local` in a transaction.
    /// - Parameter deadline: for the wait and for each statement of `body`.
    @discardableResult
    package func withConnection<R: Sendable>(
        deadline: NIODeadline? = nil, _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        let session = try await session(deadline: deadline)
        let connection = PostgresConnection(session: session, deadline: deadline)
        defer {
            connection.invalidate()
            release(session)
        }
        return try await body(connection)
    }

    /// Runs `body` in a transaction: committed when it returns, rolled back when it throws or its task is cancelled.
    /// BEGIN travels with the first statement. Nothing is retried: see `PostgresError.isRetryable`.
    @discardableResult
    package func withTransaction<R: Sendable>(
        deadline: NIODeadline? = nil, isolation: PostgresIsolation = .readCommitted, readOnly: Bool = false,
        _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        let session = try await session(deadline: deadline)
        let begin = PostgresStatement(
            "begin isolation level \(isolation.rawValue) read \(readOnly ? "only" : "write")")
        let connection = PostgresConnection(session: session, deadline: deadline, begin: begin)
        defer {
            connection.invalidate()
            release(session)
        }
        do {
            let value = try await body(connection)
            try await connection.commit()
            return value
        } catch {
            await connection.rollback()
            throw error
        }
    }

    /// Runs one statement in its own transaction: one round trip.
    @discardableResult
    package func query(
        _ statement: PostgresStatement, _ values: [PostgresValue] = [], deadline: NIODeadline? = nil
    ) async throws -> PostgresResult {
        try await pipeline([(statement, values)], deadline: deadline)[0]
    }

    /// Runs statements in one transaction and one round trip: all commit, or the first failure is thrown and none has
    /// taken effect.
    @discardableResult
    package func pipeline(
        _ statements: [(PostgresStatement, [PostgresValue])], deadline: NIODeadline? = nil
    ) async throws -> [PostgresResult] {
        if statements.isEmpty { return [] }
        var bound: [BoundStatement] = []
        bound.reserveCapacity(statements.count)
        for (statement, values) in statements {
            bound.append(try BoundStatement(statement, values))
        }
        let reply = try await run(bound, deadline: deadline)
        guard reply.failedForStaleStatement else { return try reply.results() }
        // The failure rolled everything back, and the statement is prepared anew.
        return try await run(bound, deadline: deadline).results()
    }

    private func run(_ statements: [BoundStatement], deadline: NIODeadline?) async throws -> SessionReply {
        let session = try await session(deadline: deadline)
        let reply = await PostgresConnection.perform(.statements(statements), on: session, deadline: deadline)
        release(session)
        return reply
    }

    /// Waits for a session. The caller releases it.
    private func session(deadline: NIODeadline?) async throws -> PostgresSession {
        guard !Task.isCancelled else { throw PostgresError(.cancelled, "the task was cancelled") }
        let ticket = LeaseTicket()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let waiter = lease(deadline: deadline) { result in continuation.resume(with: result) }
                if let waiter, ticket.arrived(waiter) {
                    cancelLease(waiter)
                }
            }
        } onCancel: {
            if let waiter = ticket.cancelled() {
                cancelLease(waiter)
            }
        }
    }
}

/// Brings together a waiter's number and the cancellation of its task, whichever comes first.
private final class LeaseTicket: Sendable {
    private struct State {
        var waiter: PoolStateMachine.Waiter?
        var isCancelled = false
    }
    private let state = Mutex(State())

    /// - Returns: whether the task was cancelled before.
    func arrived(_ waiter: PoolStateMachine.Waiter) -> Bool {
        state.withLock { state in
            state.waiter = waiter
            return state.isCancelled
        }
    }

    /// - Returns: the waiter, if it has one already.
    func cancelled() -> PoolStateMachine.Waiter? {
        state.withLock { state in
            state.isCancelled = true
            return state.waiter
        }
    }
}
