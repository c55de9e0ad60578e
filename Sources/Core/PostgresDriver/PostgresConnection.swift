package import NIOCore
import Synchronization

/// A connection lent to one closure by `PostgresPool.withConnection` or `withTransaction`; afterwards each use throws
/// `.closed`. Statements run in the order of the calls.
package final class PostgresConnection: Sendable {
    private struct Lease {
        var isValid = true
        /// A BEGIN that travels with the first statement of the transaction.
        var begin: PostgresStatement?
        var isInTransaction = false
    }
    let session: PostgresSession
    private let deadline: NIODeadline?
    private let lease: Mutex<Lease>

    init(session: PostgresSession, deadline: NIODeadline?, begin: PostgresStatement? = nil) {
        self.session = session
        self.deadline = deadline
        lease = Mutex(Lease(begin: begin))
    }

    /// Runs one statement: one round trip, its first preparation included.
    @discardableResult
    package func query(
        _ statement: PostgresStatement, _ values: [PostgresValue] = [], deadline: NIODeadline? = nil
    ) async throws -> PostgresResult {
        let bound = try BoundStatement(statement, values)
        return try await run([bound], deadline: deadline)[0]
    }

    /// Runs statements in one round trip with one Sync: outside a transaction they commit or fail together.
    /// - Throws: the failure of the first statement that failed; none of the batch has taken effect then.
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
        return try await run(bound, deadline: deadline)
    }

    /// Runs the statements of `sql`, any number of them and without parameters, in one implicit transaction unless `sql`
    /// says otherwise. For migrations and settings; never build `sql` from input.
    package func execute(_ sql: String, deadline: NIODeadline? = nil) async throws {
        try await beginNow()
        _ = try await perform(.simple(sql), deadline: deadline).results()
    }

    /// `COPY … FROM STDIN`: sends `data` in the format that `sql` names.
    /// - Returns: the number of rows copied.
    @discardableResult
    package func copyIn(_ sql: String, _ data: [ByteBuffer], deadline: NIODeadline? = nil) async throws -> Int {
        try await beginNow()
        return try await perform(.copyIn(sql, data), deadline: deadline).results().last?.affectedRows ?? 0
    }

    // MARK: Transactions

    private func beginNow() async throws {
        let begin = lease.withLock { lease in lease.begin }
        guard begin != nil else { return }
        _ = try await run([], deadline: nil)
    }

    private func run(_ statements: [BoundStatement], deadline: NIODeadline?) async throws -> [PostgresResult] {
        let begin: PostgresStatement? = lease.withLock { lease in
            defer { lease.begin = nil }
            if lease.begin != nil { lease.isInTransaction = true }
            return lease.begin
        }
        guard let begin else {
            return try await perform(.statements(statements), deadline: deadline).results()
        }
        let all = [try BoundStatement(begin, [])] + statements
        return Array(try await perform(.statements(all), deadline: deadline).results().dropFirst())
    }

    private static let commitStatement = PostgresStatement("commit")
    private static let rollbackStatement = PostgresStatement("rollback")

    /// Commits what was begun.
    /// - Throws: `.server` with SQLSTATE 25P02 when a statement had failed and the server rolled back instead.
    func commit() async throws {
        guard lease.withLock({ lease in lease.isInTransaction }) else { return }
        let result = try await query(Self.commitStatement)
        lease.withLock { lease in lease.isInTransaction = false }
        if result.commandTag != "COMMIT" {
            throw PostgresError(
                .server, "the transaction was rolled back because a statement in it had failed", sqlState: "25P02")
        }
    }

    /// Rolls back what was begun, also when the task is cancelled or the deadline has passed.
    func rollback() async {
        guard lease.withLock({ lease in lease.isInTransaction }),
            let bound = try? BoundStatement(Self.rollbackStatement, [])
        else { return }
        let reply = await Self.perform(
            .statements([bound]), on: session, deadline: .now() + .seconds(5), isShielded: true)
        lease.withLock { lease in lease.isInTransaction = false }
        // A failed rollback leaves the session in its transaction, and the pool closes it for that.
        _ = try? reply.results()
    }

    /// Ends the lease.
    func invalidate() {
        lease.withLock { lease in lease.isValid = false }
    }

    // MARK: The way to the loop

    private func perform(_ work: SessionRequest.Work, deadline: NIODeadline?) async throws -> SessionReply {
        guard lease.withLock({ lease in lease.isValid }) else {
            throw PostgresError(.closed, "the connection has been given back to its pool")
        }
        let nearest = [deadline, self.deadline].compactMap(\.self).min()
        return await Self.perform(work, on: session, deadline: nearest)
    }

    /// - Parameter isShielded: ignores the task's cancellation.
    static func perform(
        _ work: SessionRequest.Work, on session: PostgresSession, deadline: NIODeadline?, isShielded: Bool = false
    ) async -> SessionReply {
        let id = SessionRequest.nextID()
        let flag = isShielded ? nil : CancellationFlag()
        session.announce()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let request = SessionRequest(
                    id: id, work: work, deadline: deadline, cancellation: flag,
                    completion: { reply in continuation.resume(returning: reply) })
                session.eventLoop.execute { session.submit(request) }
            }
        } onCancel: {
            guard let flag else { return }
            flag.set()
            session.eventLoop.execute { session.cancel(id, PostgresError(.cancelled, "the task was cancelled")) }
        }
    }

    // MARK: The server

    private static let durability = PostgresStatement(
        """
        select name, setting from pg_settings
        where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off'
        order by name
        """)

    /// Checks that an acknowledged commit survives a crash of the machine.
    /// - Throws: `.server` naming the settings that are off.
    package func verifyDurability() async throws {
        let result = try await query(Self.durability)
        let names = try result.map { row in try row.string(0) }
        guard names.isEmpty else {
            throw PostgresError(
                .server, "the server may lose acknowledged writes: \(names.joined(separator: ", ")) must be on")
        }
    }
}
