import NIOCore

/// Decides what a pipelined connection sends next and what becomes of each job. Pure: jobs are numbers.
struct PipelineStateMachine {
    struct Job: Equatable {
        let id: UInt64
        /// Doing it twice does no harm, so a lost connection sends it again, once.
        let isRepeatable: Bool
        var attempts = 0
    }

    enum SubmitAction: Equatable {
        /// Connect now; the job is queued.
        case connect
        /// Flush at the end of this tick; the job is queued.
        case flush
        case queued
        case rejectFull
        case rejectClosed
    }

    /// What the answer of one statement says, seen from here.
    enum Verdict: Equatable {
        case succeeded
        case failed
        /// Its prepared statement was stale; prepared anew it may succeed.
        case stale
        /// Another statement of the batch failed and this one was not run or was rolled back.
        case aborted
        /// The connection was lost before the batch ended.
        case lost
    }

    enum Settlement: Equatable {
        case succeed(UInt64)
        case fail(UInt64)
    }

    enum ConnectFailure: Equatable {
        /// Try again after this time; the jobs wait.
        case retry(after: Duration)
        /// These jobs have waited long enough.
        case fail([UInt64], retry: Duration?)
    }

    private enum Phase: Equatable {
        case disconnected, connecting, open, waiting, closed
    }

    /// A statement that was held up by others this often is sent alone.
    static let attemptsBeforeAlone = 3
    /// Jobs wait through this many failures to connect, about 0.6 s.
    static let patientFailures = 6
    static let maximumBatch = 256
    static let maximumOutstanding = 4

    private let maximumQueued: Int
    private var phase = Phase.disconnected
    private var queue = CircularBuffer<Job>()
    private var backoff = Backoff()
    private var outstanding = 0
    private var flushIsScheduled = false

    init(maximumQueued: Int) {
        self.maximumQueued = maximumQueued
    }

    var isIdle: Bool { outstanding == 0 && queue.isEmpty }
    var queued: Int { queue.count }

    mutating func submit(_ job: Job) -> SubmitAction {
        if phase == .closed { return .rejectClosed }
        guard queue.count < maximumQueued else { return .rejectFull }
        queue.append(job)
        switch phase {
        case .disconnected:
            phase = .connecting
            return .connect
        case .open:
            guard !flushIsScheduled, outstanding < Self.maximumOutstanding else { return .queued }
            flushIsScheduled = true
            return .flush
        case .connecting, .waiting: return .queued
        case .closed: return .rejectClosed
        }
    }

    mutating func connected() {
        guard phase == .connecting else { return }
        phase = .open
        backoff.succeeded()
    }

    /// The next batch, while one may be sent; empty otherwise.
    mutating func nextBatch() -> [Job] {
        flushIsScheduled = false
        guard phase == .open, outstanding < Self.maximumOutstanding, !queue.isEmpty else { return [] }
        var batch: [Job] = []
        while batch.count < Self.maximumBatch, var job = queue.first {
            let isAlone = job.attempts >= Self.attemptsBeforeAlone
            if isAlone, !batch.isEmpty { break }
            queue.removeFirst()
            job.attempts += 1
            batch.append(job)
            if isAlone { break }
        }
        outstanding += 1
        return batch
    }

    /// - Parameter commitFailed: the whole batch failed at its Sync, so nobody knows whose fault it was.
    mutating func ended(_ batch: [Job], _ verdicts: [Verdict], commitFailed: Bool) -> [Settlement] {
        outstanding = max(0, outstanding - 1)
        let isDisturbed = verdicts.contains { verdict in verdict != .succeeded }
        var settlements: [Settlement] = []
        var again: [Job] = []
        for (index, job) in batch.enumerated() {
            let verdict = index < verdicts.count ? verdicts[index] : .lost
            switch verdict {
            case .succeeded:
                // Rolled back with the batch: what it read is true, what it did is not.
                if isDisturbed, !job.isRepeatable { again.append(job) } else { settlements.append(.succeed(job.id)) }
            case .failed:
                if commitFailed, batch.count > 1 {
                    again.append(Job(id: job.id, isRepeatable: job.isRepeatable, attempts: Self.attemptsBeforeAlone))
                } else {
                    settlements.append(.fail(job.id))
                }
            case .stale:
                if job.attempts <= 1 { again.append(job) } else { settlements.append(.fail(job.id)) }
            case .aborted: again.append(job)
            case .lost:
                if job.isRepeatable, job.attempts <= 1, phase != .closed {
                    again.append(job)
                } else {
                    settlements.append(.fail(job.id))
                }
            }
        }
        if phase == .closed {
            settlements.append(contentsOf: again.map { job in .fail(job.id) })
        } else {
            for job in again.reversed() { queue.prepend(job) }
        }
        return settlements
    }

    /// The open connection is gone; its batches have ended as lost.
    /// - Returns: whether to connect now.
    mutating func lost() -> Bool {
        guard phase == .open else { return false }
        outstanding = 0
        flushIsScheduled = false
        phase = queue.isEmpty ? .disconnected : .connecting
        return phase == .connecting
    }

    mutating func connectFailed(isPermanent: Bool, random: Double) -> ConnectFailure? {
        guard phase == .connecting else { return nil }
        let wait = backoff.failed(random: random)
        if !isPermanent, backoff.failures < Self.patientFailures {
            phase = .waiting
            return .retry(after: wait)
        }
        let failed = queue.map(\.id)
        queue.removeAll()
        // Nobody waits: the back-off still holds, so that the next job does not knock at once.
        phase = .waiting
        return .fail(failed, retry: wait)
    }

    /// The wait is over.
    /// - Returns: whether to connect now.
    mutating func retry() -> Bool {
        guard phase == .waiting else { return false }
        phase = queue.isEmpty ? .disconnected : .connecting
        return phase == .connecting
    }

    /// - Returns: the jobs that were waiting.
    mutating func close() -> [UInt64] {
        phase = .closed
        defer { queue.removeAll() }
        return queue.map(\.id)
    }
}
