import NIOCore

/// What became of one statement of a batch.
enum StatementOutcome<Success, Failure> {
    case success(Success)
    case failure(Failure)
    /// An earlier statement of the batch failed; this one was not run.
    case aborted
}

extension StatementOutcome: Sendable where Success: Sendable, Failure: Sendable {}
extension StatementOutcome: Equatable where Success: Equatable, Failure: Equatable {}

/// What the server still owes for the batches sent: decides which reply belongs to which statement.
///
/// A batch is one or more statements and one Sync. Outside an explicit transaction it is one implicit transaction that
/// commits at the Sync (manual, "Pipeline Mode"), so nothing of a batch is reported before its Sync has come back.
struct BatchFlow<Success, Failure> {
    typealias Outcome = StatementOutcome<Success, Failure>

    /// One message exchange of a batch; the numbers of prepared statements are the caller's.
    enum Step: Equatable {
        case prepare(statement: Int, query: Int)
        case deallocate(statement: Int)
        case query(Int)
    }

    struct Finished {
        let batch: UInt64
        var outcomes: [Outcome]
        /// Prepared statements that the server does not have although they were sent.
        var notPrepared: [Int] = []
        /// Prepared statements that the server still has.
        var notDeallocated: [Int] = []
        /// The server answered the Sync, so its failures are known to have rolled back an implicit transaction.
        var isComplete = false
        /// The commit at the Sync failed, after every statement had succeeded.
        var commitFailed = false
    }

    /// The reply does not fit what was sent: the connection cannot be trusted any more.
    struct Violation: Error, Equatable {
        let message: String
    }

    private struct Batch {
        let id: UInt64
        let steps: [Step]
        var position = 0
        var reply: Outcome?
        var outcomes: [Outcome?]
        var commitFailure: Failure?
        var finished: Finished

        /// The current step ends with `reply`.
        mutating func apply(_ reply: Outcome) {
            switch steps[position] {
            case .prepare(let statement, let query):
                switch reply {
                case .success: break
                case .failure:
                    outcomes[query] = reply
                    finished.notPrepared.append(statement)
                case .aborted: finished.notPrepared.append(statement)
                }
            case .deallocate(let statement):
                switch reply {
                case .success, .failure: break
                case .aborted: finished.notDeallocated.append(statement)
                }
            case .query(let query):
                if case .failure? = outcomes[query] { break }
                outcomes[query] = reply
            }
            position += 1
        }
    }
    private var batches = CircularBuffer<Batch>()

    /// Batches whose Sync has not come back.
    var outstanding: Int { batches.count }

    mutating func sent(batch id: UInt64, steps: [Step], queries: Int) {
        batches.append(
            Batch(
                id: id, steps: steps, outcomes: Array(repeating: nil, count: queries),
                finished: Finished(batch: id, outcomes: [])))
    }

    /// A result, an error or an abort came in.
    mutating func received(_ reply: Outcome) throws(Violation) {
        guard !batches.isEmpty else { throw Violation(message: "a reply to nothing") }
        let index = batches.startIndex
        guard batches[index].position < batches[index].steps.count else {
            // Only the commit at the Sync can still fail here: deferred constraints, serialization.
            guard case .failure(let failure) = reply else { throw Violation(message: "a result after the last") }
            batches[index].commitFailure = failure
            return
        }
        // An error stays, whatever follows it.
        if case .failure = batches[index].reply { return }
        batches[index].reply = reply
    }

    /// libpq ended the results of one statement.
    mutating func endOfStatement() throws(Violation) {
        guard !batches.isEmpty else { throw Violation(message: "an end of nothing") }
        let index = batches.startIndex
        guard batches[index].position < batches[index].steps.count else {
            // The end of a failed commit's error.
            if batches[index].commitFailure != nil { return }
            throw Violation(message: "an end after the last result")
        }
        guard let reply = batches[index].reply else { throw Violation(message: "an end without a result") }
        batches[index].reply = nil
        batches[index].apply(reply)
    }

    /// The Sync of the first batch came back.
    mutating func sync() throws(Violation) -> Finished {
        guard var batch = batches.popFirst() else { throw Violation(message: "a sync of nothing") }
        guard batch.position == batch.steps.count else { throw Violation(message: "a sync before the last result") }
        batch.finished.isComplete = true
        if let failure = batch.commitFailure {
            batch.finished.commitFailed = true
            batch.finished.outcomes = batch.outcomes.map { _ in .failure(failure) }
        } else {
            batch.finished.outcomes = batch.outcomes.map { outcome in outcome ?? .aborted }
        }
        return batch.finished
    }

    /// The connection is gone: what has not failed yet fails with `failure`.
    mutating func lost(_ failure: Failure) -> [Finished] {
        var finished: [Finished] = []
        while var batch = batches.popFirst() {
            if let reply = batch.reply, case .failure = reply { batch.apply(reply) }
            batch.finished.outcomes = batch.outcomes.map { outcome in
                // A success before the Sync is not committed, so it counts as lost too.
                if case .failure? = outcome { outcome ?? .aborted } else { .failure(failure) }
            }
            finished.append(batch.finished)
        }
        return finished
    }
}
