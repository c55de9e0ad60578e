package import NIOCore
package import PostgresDriver

/// Reads by id on one event loop, many in one statement.
///
/// A statement commits the audit of its reads, so an answer leaves only after its audit is on disk, and what a statement
/// and a commit cost is shared by all that are in it. While a batch is under way only a full one follows it; other reads
/// wait. Those whom a batch answered are likely to ask again at once, so the next one waits for most of them, though never
/// longer than ``patience``: fewer, fuller statements serve more. A lone read is sent at the end of its tick.
///
/// A failed batch is not repeated, because it may have been committed: its reads fail.
///
/// Belongs to the event loop of its pipeline; not `Sendable`.
package final class HotReader {
    private struct Waiting {
        let type: ResourceType
        let id: String
        let completion: (Result<StoredResource?, any Error>) -> Void
    }

    /// Reads that may wait; more are refused at once.
    package static let maximumWaiting = 4096
    /// How long a batch waits to become fuller.
    static let patience: TimeAmount = .microseconds(300)

    private let pipeline: PostgresPipeline
    private let eventLoop: any EventLoop
    private var batch = ReadBatch()
    private var waiting: [Waiting] = []
    /// How many reads are worth waiting for, after the last batch.
    private var expected = 0
    private var isScheduled = false
    private var underway = 0
    private var timer: Scheduled<Void>?

    /// Nothing waits and nothing is under way.
    package var isIdle: Bool { waiting.isEmpty && underway == 0 }

    package init(pipeline: PostgresPipeline, eventLoop: any EventLoop) {
        self.pipeline = pipeline
        self.eventLoop = eventLoop
    }

    /// The current version, deleted ones included; nil when there never was one. Call it on the event loop.
    ///
    /// - Parameter completion: called once on the event loop, never before this returns true.
    /// - Returns: false when too many reads wait; nothing happens then.
    package func read(
        _ type: ResourceType, id: String, audit: AuditContext,
        completion: @escaping (Result<StoredResource?, any Error>) -> Void
    ) -> Bool {
        eventLoop.preconditionInEventLoop()
        guard waiting.count < Self.maximumWaiting else { return false }
        batch.append(type, id: id, audit: audit)
        waiting.append(Waiting(type: type, id: id, completion: completion))
        if batch.count >= ReadBatch.maximum {
            send()
        } else {
            schedule()
        }
        return true
    }

    private func schedule() {
        guard !isScheduled, underway == 0 else { return }
        isScheduled = true
        // After the tick's other work, so that its reads share the batch.
        eventLoop.assumeIsolatedUnsafeUnchecked().execute { self.tick() }
    }

    private func tick() {
        isScheduled = false
        guard underway == 0, batch.count > 0 else { return }
        // Three quarters: a few who take their time do not hold up the rest.
        if batch.count * 4 >= expected * 3 {
            send()
        } else if timer == nil {
            timer = eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: Self.patience) {
                self.timer = nil
                if self.underway == 0 { self.send() }
            }
        }
    }

    private func send() {
        guard batch.count > 0 else { return }
        timer?.cancel()
        timer = nil
        let reads = waiting
        let values = batch.values
        waiting = []
        waiting.reserveCapacity(ReadBatch.maximum)
        batch = ReadBatch()
        underway += 1
        pipeline.query(ReadBatch.statement, values, retryable: false)
            .assumeIsolatedUnsafeUnchecked()
            .whenComplete { result in
                self.underway -= 1
                self.expected = min(reads.count + self.batch.count, ReadBatch.maximum)
                Self.answer(reads, result)
                if self.batch.count > 0 { self.schedule() }
            }
    }

    private static func answer(_ reads: [Waiting], _ result: Result<PostgresResult, any Error>) {
        switch result {
        case .failure(let error):
            for read in reads { read.completion(.failure(error)) }
        case .success(let rows):
            for (index, read) in reads.enumerated() {
                do {
                    guard index < rows.count else { throw PostgresError(.decoding, "fewer rows than reads") }
                    read.completion(.success(try ReadBatch.resource(rows[index], read.type, id: read.id)))
                } catch {
                    read.completion(.failure(error))
                }
            }
        }
    }
}
