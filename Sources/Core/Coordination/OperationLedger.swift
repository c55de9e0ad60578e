import CloudModel
import NIOCore
import PostgresDriver

/// The leader's side of the operations in the control database. Each write checks the leader's term in its own transaction.
///
/// - Throws: ``CoordinationError``; `lost-leadership` from every write once another leads.
struct OperationLedger: Sendable {
    /// Where an operation stands when it is taken up.
    struct Standing: Sendable, Hashable {
        /// By the step's name.
        var records: [String: OperationMachine.Record] = [:]
        /// When it is being undone: why; a nil failure is a cancellation.
        var undoing: OperationFailure??
        var isCancelled = false
    }

    let leader: LeaderContext

    private var term: PostgresValue { .int8(leader.fencingToken) }

    private func run(
        _ statement: PostgresStatement, _ values: [PostgresValue]
    ) async throws(CoordinationError) -> PostgresResult {
        do {
            return try await leader.control.query(statement, values, deadline: .now() + .seconds(10))
        } catch let error as PostgresError {
            throw CoordinationError(error)
        } catch {
            throw CoordinationError(.unavailable, "the control database does not answer")
        }
    }

    /// The truth value of the only row.
    private static func truth(_ result: PostgresResult) throws(CoordinationError) -> Bool {
        do throws(PostgresError) {
            if let row = result.first { return try row.bool(0) }
        } catch {
            throw CoordinationError(error)
        }
        throw CoordinationError(.failed, "the control database is of another version")
    }

    // MARK: What there is to do

    private static let unsettledStatement = PostgresStatement("select id from control.operations_to_settle($1)")

    /// Operations that can never begin, and each apply whose parts have come further.
    func unsettled() async throws(CoordinationError) -> [String] {
        try Self.ids(try await run(Self.unsettledStatement, [term]))
    }

    private static let settleStatement = PostgresStatement("select control.settle_operation($1, $2)")

    /// Ends it, or tells how far it has come, by what others have become.
    func settle(_ id: String) async throws(CoordinationError) {
        _ = try await run(Self.settleStatement, [term, .uuid(id)])
    }

    private static let claimStatement = PostgresStatement(
        """
        select id, kind, tenant, subject, input, deadline, microseconds_left
        from control.claim_operations($1, $2, $3)
        """)

    /// Takes up to `limit` operations under this leader's term, in turn for each tenant; each with the time that its deadline
    /// leaves.
    ///
    /// - Parameter share: the most that a tenant has under way.
    func claim(
        _ limit: Int, share: Int
    ) async throws(CoordinationError) -> [(record: OperationRecord, left: Duration)] {
        let result = try await run(Self.claimStatement, [term, .int4(Int32(limit)), .int4(Int32(share))])
        do throws(PostgresError) {
            var claimed: [(record: OperationRecord, left: Duration)] = []
            for row in result {
                let record = OperationRecord(
                    id: try row.string(0), kind: try row.string(1),
                    tenant: try row.optionalString(2).flatMap { TenantID($0) }, subject: try row.string(3),
                    input: try row.string(4), deadline: try row.timestamptz(5))
                claimed.append((record, .microseconds(max(0, try row.int8(6)))))
            }
            return claimed
        } catch {
            throw CoordinationError(error)
        }
    }

    private static let cancelledStatement = PostgresStatement(
        """
        select id from control.operation
        where phase = 'running' and term = $1 and cancelled_at is not null and not irrevocable
        """)

    /// Operations of this term that somebody has cancelled.
    func cancelled() async throws(CoordinationError) -> [String] {
        try Self.ids(try await run(Self.cancelledStatement, [term]))
    }

    private static func ids(_ result: PostgresResult) throws(CoordinationError) -> [String] {
        do throws(PostgresError) {
            var ids: [String] = []
            for row in result { ids.append(try row.string(0)) }
            return ids
        } catch {
            throw CoordinationError(error)
        }
    }

    private static let standingStatement = PostgresStatement(
        """
        select o.phase, o.error_code, o.error_message, o.cancelled_at is not null and not o.irrevocable,
               s.name, s.attempts > 0, s.ended_at is not null, s.undone_at is not null
        from control.operation o left join control.operation_step s on s.operation = o.id
        where o.id = $1
        order by s.ordinal
        """)

    func standing(_ id: String) async throws(CoordinationError) -> Standing {
        let result = try await run(Self.standingStatement, [.uuid(id)])
        do throws(PostgresError) {
            var standing = Standing()
            for row in result {
                if try row.string(0) == "undoing" {
                    let code = try row.optionalString(1)
                    let message = try row.optionalString(2)
                    standing.undoing = .some(code.map { OperationFailure($0, message ?? "") })
                }
                standing.isCancelled = try row.bool(3)
                guard let name = try row.optionalString(4) else { continue }
                let hasBegun = try row.bool(5)
                let record: OperationMachine.Record =
                    if try row.bool(7) { .undone } else if try row.bool(6) { .ended } else if hasBegun { .begun } else {
                        .none
                    }
                standing.records[name] = record
            }
            return standing
        } catch {
            throw CoordinationError(error)
        }
    }

    // MARK: Records

    private static let beginStepStatement = PostgresStatement(
        "select control.begin_operation_step($1, $2, $3, $4, $5)")

    /// - Returns: false when somebody has cancelled the operation: it is to be undone instead.
    func beginStep(
        _ id: String, _ index: Int, _ name: String, isPointOfNoReturn: Bool
    ) async throws(CoordinationError) -> Bool {
        let result = try await run(
            Self.beginStepStatement,
            [term, .uuid(id), .int4(Int32(index)), .text(name), .bool(isPointOfNoReturn)])
        return try Self.truth(result)
    }

    private static let endStepStatement = PostgresStatement("select control.end_operation_step($1, $2, $3, $4)")

    func endStep(_ id: String, _ name: String, percent: Int) async throws(CoordinationError) {
        _ = try await run(
            Self.endStepStatement, [term, .uuid(id), .text(name), .int4(Int32(max(0, min(99, percent))))])
    }

    private static let explainStatement = PostgresStatement("select control.explain_operation($1, $2, $3)")

    /// Why it does not go on just now.
    func explain(_ id: String, _ message: String) async throws(CoordinationError) {
        _ = try await run(Self.explainStatement, [term, .uuid(id), .text(message)])
    }

    private static let undoStatement = PostgresStatement("select control.undo_operation($1, $2, $3, $4)")

    /// - Parameter failure: nil is a cancellation.
    func beginUndoing(_ id: String, _ failure: OperationFailure?) async throws(CoordinationError) {
        _ = try await run(Self.undoStatement, [term, .uuid(id)] + Self.values(failure))
    }

    private static let stepUndoStatement = PostgresStatement("select control.record_step_undo($1, $2, $3, $4, $5)")

    func recordUndo(_ id: String, _ index: Int, _ name: String, isDone: Bool) async throws(CoordinationError) {
        _ = try await run(
            Self.stepUndoStatement, [term, .uuid(id), .int4(Int32(index)), .text(name), .bool(isDone)])
    }

    private static let endStatement = PostgresStatement("select control.end_operation($1, $2, $3, $4, $5)")

    /// - Returns: false when it would have succeeded but somebody has cancelled it: it is to be undone instead.
    func end(_ id: String, _ outcome: OperationMachine.Outcome) async throws(CoordinationError) -> Bool {
        let (phase, failure): (String, OperationFailure?) =
            switch outcome {
            case .succeeded: ("succeeded", nil)
            case .failed(let failure): ("failed", failure)
            case .cancelled: ("cancelled", nil)
            }
        let result = try await run(Self.endStatement, [term, .uuid(id), .text(phase)] + Self.values(failure))
        return try Self.truth(result)
    }

    private static func values(_ failure: OperationFailure?) -> [PostgresValue] {
        guard let failure else { return [.null, .null] }
        return [.text(failure.code), .text(failure.message)]
    }

    private static let purgeStatement = PostgresStatement(
        "select control.purge_operations($1, make_interval(days => $2))")

    /// Forgets operations that ended longer ago.
    func purge(days: Int32) async throws(CoordinationError) {
        _ = try await run(Self.purgeStatement, [term, .int4(days)])
    }
}
