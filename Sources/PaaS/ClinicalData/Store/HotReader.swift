package import NIOCore
package import PostgresDriver

/// Reads by id on one event loop: those of one tick, and those that come while a batch is under way, share a statement.
///
/// A batch's audit rows are committed by its statement, so an answer leaves only after its audit row is durable, and the
/// cost of that is shared. A failed batch is not repeated, because it may have been committed: its reads fail.
///
/// Belongs to the event loop of its pipeline; not `Sendable`.
package final class HotReader {
    private struct Waiting {
        let type: ResourceType
        let id: String
        let promise: EventLoopPromise<StoredResource?>
    }

    /// Reads of one statement at most.
    package static let maximumBatch = 64
    /// Reads that may wait; more are refused at once.
    package static let maximumWaiting = 4096

    private let pipeline: PostgresPipeline
    private let eventLoop: any EventLoop
    private var batch = ReadBatch()
    private var waiting: [Waiting] = []
    private var isScheduled = false
    private var underway = 0

    /// Nothing waits and nothing is under way.
    package var isIdle: Bool { waiting.isEmpty && underway == 0 }

    package init(pipeline: PostgresPipeline, eventLoop: any EventLoop) {
        self.pipeline = pipeline
        self.eventLoop = eventLoop
    }

    /// The current version, deleted ones included; nil when there never was one. Call it on the event loop.
    package func read(_ type: ResourceType, id: String, audit: AuditContext) -> EventLoopFuture<StoredResource?> {
        eventLoop.preconditionInEventLoop()
        let promise = eventLoop.makePromise(of: StoredResource?.self)
        guard waiting.count < Self.maximumWaiting else {
            promise.fail(PostgresError(.poolExhausted, "too many reads wait"))
            return promise.futureResult
        }
        batch.append(type, id: id, audit: audit)
        waiting.append(Waiting(type: type, id: id, promise: promise))
        if waiting.count >= Self.maximumBatch {
            send()
        } else if !isScheduled, underway == 0 {
            isScheduled = true
            eventLoop.assumeIsolatedUnsafeUnchecked().execute { self.tick() }
        }
        return promise.futureResult
    }

    private func tick() {
        isScheduled = false
        if underway == 0 { send() }
    }

    private func send() {
        guard batch.count > 0 else { return }
        let reads = waiting
        let values = batch.values
        waiting = []
        batch = ReadBatch()
        underway += 1
        pipeline.query(ReadBatch.statement, values, retryable: false)
            .assumeIsolatedUnsafeUnchecked()
            .whenComplete { result in
                self.underway -= 1
                // The next batch goes out before this one's answers are written.
                if self.underway == 0 { self.send() }
                Self.answer(reads, result)
            }
    }

    private static func answer(_ reads: [Waiting], _ result: Result<PostgresResult, any Error>) {
        switch result {
        case .failure(let error):
            for read in reads { read.promise.fail(error) }
        case .success(let rows):
            for (index, read) in reads.enumerated() {
                do {
                    guard index < rows.count else { throw PostgresError(.decoding, "fewer rows than reads") }
                    read.promise.succeed(try ReadBatch.resource(rows[index], read.type, id: read.id))
                } catch {
                    read.promise.fail(error)
                }
            }
        }
    }
}
