import NIOCore
import Synchronization

/// A statement with its parameters in wire form.
struct BoundStatement: Sendable {
    let statement: PostgresStatement
    let parameters: EncodedParameters

    init(_ statement: PostgresStatement, _ values: [PostgresValue]) throws(PostgresError) {
        self.statement = statement
        parameters = try EncodedParameters(values)
    }
}

/// Set from any thread when nobody waits for a request any more.
final class CancellationFlag: Sendable {
    private let flag = Atomic(false)

    var isSet: Bool { flag.load(ordering: .acquiring) }

    func set() {
        flag.store(true, ordering: .releasing)
    }
}

/// Work for a session, done in the order of submission.
struct SessionRequest: Sendable {
    enum Work: Sendable {
        /// One batch with one Sync.
        case statements([BoundStatement])
        /// The simple protocol: any number of statements in one text.
        case simple(String)
        /// `COPY … FROM STDIN` and its data.
        case copyIn(String, [ByteBuffer])
    }
    let id: UInt64
    let work: Work
    let deadline: NIODeadline?
    let cancellation: CancellationFlag?
    /// Called once, on the session's event loop.
    let completion: @Sendable (SessionReply) -> Void

    private static let counter = Atomic<UInt64>(1)

    static func nextID() -> UInt64 { counter.wrappingAdd(1, ordering: .relaxed).oldValue }
}

/// What became of a request: an outcome for each statement, at least one.
struct SessionReply: Sendable {
    var outcomes: [StatementOutcome<PostgresResult, PostgresError>]
    /// The server has ended the exchange, so a failure is known to have rolled back an implicit transaction.
    var isComplete: Bool
    /// The commit failed, so the failure cannot be told apart by statement.
    var commitFailed = false

    static func failure(_ error: PostgresError) -> SessionReply {
        SessionReply(outcomes: [.failure(error)], isComplete: false)
    }

    /// Nothing has taken effect, and doing it again with the statement prepared anew may succeed.
    var failedForStaleStatement: Bool {
        isComplete
            && outcomes.contains { outcome in
                if case .failure(let error) = outcome { error.isStaleStatement } else { false }
            }
    }

    /// All results, or the error that decided the batch.
    func results() throws(PostgresError) -> [PostgresResult] {
        var results: [PostgresResult] = []
        results.reserveCapacity(outcomes.count)
        for outcome in outcomes {
            switch outcome {
            case .success(let result): results.append(result)
            case .failure(let error): throw error
            case .aborted: throw PostgresError(.protocol, "a statement was aborted without a failure before it")
            }
        }
        return results
    }
}
