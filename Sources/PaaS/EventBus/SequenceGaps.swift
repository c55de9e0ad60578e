/// Decides how far into the changes of a tenant a consumer may go without ever leaving one behind.
///
/// A change draws its number under the lock of its resource, so numbers order the changes of a resource; but a transaction
/// that drew a lower number may commit later. Numbers follow each other without a hole, so a hole is a change that is still
/// to come or never will: of a transaction that is running, or of one that failed. Nothing beyond a hole is handed out
/// until every transaction that may fill it has ended. Each of those had its transaction id before it drew its number, and
/// hence before the change beyond the hole was seen; an id that is given out after that is a barrier. When no transaction
/// below the barrier runs any more and the hole is still there, it is for good.
struct SequenceGaps: Sendable, Equatable {
    private struct Barrier: Sendable, Equatable {
        /// Holes below this number were there when the barrier was set.
        let sequence: Int64
        /// Whoever may fill them has a lower transaction id.
        let transaction: Int64
    }

    /// Every change up to here was handed out.
    private(set) var position: Int64
    private var barrier: Barrier?

    init(position: Int64) {
        self.position = position
    }

    /// Whether a hole is passed once nobody below a barrier runs any more.
    var isWaiting: Bool { barrier != nil }

    /// What a look at the changes beyond the position allows.
    struct Verdict: Sendable, Equatable {
        /// So many of the changes may be handed out.
        let ready: Int
        /// There is a hole that no barrier covers: get a new transaction id and give it to ``setBarrier(_:below:)``.
        let needsBarrier: Bool
    }

    /// - Parameters:
    ///   - sequences: Numbers of changes beyond the position, ascending, none left out that was visible.
    ///   - oldestRunning: The lowest id of the transactions in the database that ran before the changes were read; all lower
    ///     ones had ended. Of no account unless ``isWaiting``.
    func look(at sequences: [Int64], oldestRunning: Int64) -> Verdict {
        let closed = barrier.flatMap { $0.transaction <= oldestRunning ? $0.sequence : nil } ?? position
        var expected = position + 1
        for (index, sequence) in sequences.enumerated() {
            guard sequence == expected || sequence <= closed else {
                let isCovered = barrier.map { sequence <= $0.sequence } ?? false
                return Verdict(ready: index, needsBarrier: !isCovered)
            }
            expected = sequence + 1
        }
        return Verdict(ready: sequences.count, needsBarrier: false)
    }

    /// - Parameters:
    ///   - transaction: An id given out after the look.
    ///   - sequence: The highest number seen in that look.
    mutating func setBarrier(_ transaction: Int64, below sequence: Int64) {
        barrier = Barrier(sequence: sequence, transaction: transaction)
    }

    /// The changes up to `sequence` were handed out.
    mutating func advance(to sequence: Int64) {
        position = max(position, sequence)
        if let barrier, barrier.sequence <= position { self.barrier = nil }
    }
}
