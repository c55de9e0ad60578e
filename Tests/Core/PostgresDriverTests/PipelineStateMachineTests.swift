import Testing

@testable import PostgresDriver

@Suite struct PipelineStateMachineTests {
    typealias Job = PipelineStateMachine.Job

    private func open(_ jobs: [Job]) -> (PipelineStateMachine, [Job]) {
        var machine = PipelineStateMachine(maximumQueued: 1000)
        for job in jobs { _ = machine.submit(job) }
        machine.connected()
        let batch = machine.nextBatch()
        return (machine, batch)
    }

    private func reads(_ ids: ClosedRange<UInt64>) -> [Job] { ids.map { id in Job(id: id, isRepeatable: true) } }

    @Test func `the first job connects and those of one tick share a batch`() {
        var machine = PipelineStateMachine(maximumQueued: 10)
        #expect(machine.submit(Job(id: 1, isRepeatable: true)) == .connect)
        #expect(machine.submit(Job(id: 2, isRepeatable: true)) == .queued)
        machine.connected()
        #expect(machine.nextBatch().map(\.id) == [1, 2])
        #expect(machine.submit(Job(id: 3, isRepeatable: true)) == .flush)
        #expect(machine.submit(Job(id: 4, isRepeatable: true)) == .queued)
        #expect(machine.nextBatch().map(\.id) == [3, 4])
    }

    @Test func `at most four batches are on their way`() {
        var machine = PipelineStateMachine(maximumQueued: 10)
        _ = machine.submit(Job(id: 0, isRepeatable: true))
        machine.connected()
        var sent = [machine.nextBatch()]
        for id in 1...3 {
            #expect(machine.submit(Job(id: UInt64(id), isRepeatable: true)) == .flush)
            sent.append(machine.nextBatch())
        }
        #expect(machine.submit(Job(id: 4, isRepeatable: true)) == .queued)
        #expect(machine.nextBatch().isEmpty)
        #expect(machine.ended(sent[0], [.succeeded], commitFailed: false) == [.succeed(0)])
        #expect(machine.nextBatch().map(\.id) == [4])
    }

    @Test func `the queue is bounded`() {
        var machine = PipelineStateMachine(maximumQueued: 2)
        _ = machine.submit(Job(id: 1, isRepeatable: true))
        _ = machine.submit(Job(id: 2, isRepeatable: true))
        #expect(machine.submit(Job(id: 3, isRepeatable: true)) == .rejectFull)
    }

    @Test func `a failure fails its job and sends the aborted ones again in order`() {
        var (machine, batch) = open(reads(1...4))
        let settled = machine.ended(batch, [.succeeded, .failed, .aborted, .aborted], commitFailed: false)
        #expect(settled == [.succeed(1), .fail(2)])
        #expect(machine.nextBatch().map(\.id) == [3, 4])
    }

    @Test func `a statement with effects that was rolled back with its batch is sent again`() {
        var (machine, batch) = open([Job(id: 1, isRepeatable: false), Job(id: 2, isRepeatable: true)])
        #expect(machine.ended(batch, [.succeeded, .failed], commitFailed: false) == [.fail(2)])
        #expect(machine.nextBatch().map(\.id) == [1])
    }

    @Test func `a job that was held up three times is sent alone`() {
        var (machine, batch) = open(reads(1...5))
        for culprit in 1...3 {
            #expect(batch.first?.id == UInt64(culprit))
            let verdicts: [PipelineStateMachine.Verdict] = batch.indices.map { index in index == 0 ? .failed : .aborted
            }
            #expect(machine.ended(batch, verdicts, commitFailed: false) == [.fail(UInt64(culprit))])
            batch = machine.nextBatch()
        }
        #expect(batch.map(\.id) == [4])
    }

    @Test func `a commit that fails is tried job by job`() {
        var (machine, batch) = open(reads(1...2))
        #expect(machine.ended(batch, [.failed, .failed], commitFailed: true) == [])
        let first = machine.nextBatch()
        #expect(first.map(\.id) == [1])
        #expect(machine.ended(first, [.failed], commitFailed: true) == [.fail(1)])
        #expect(machine.nextBatch().map(\.id) == [2])
    }

    @Test func `a lost connection repeats reads once and fails statements with effects`() {
        var (machine, batch) = open([Job(id: 1, isRepeatable: true), Job(id: 2, isRepeatable: false)])
        #expect(machine.ended(batch, [.lost, .lost], commitFailed: false) == [.fail(2)])
        let reconnects = machine.lost()
        #expect(reconnects)
        machine.connected()
        let again = machine.nextBatch()
        #expect(again.map(\.id) == [1])
        #expect(machine.ended(again, [.lost], commitFailed: false) == [.fail(1)])
        let reconnectsAgain = machine.lost()
        #expect(!reconnectsAgain)
    }

    @Test func `jobs wait through a short outage and fail in a long one`() throws {
        var machine = PipelineStateMachine(maximumQueued: 10)
        _ = machine.submit(Job(id: 1, isRepeatable: true))
        for _ in 1..<PipelineStateMachine.patientFailures {
            guard case .retry = machine.connectFailed(isPermanent: false, random: 0) else {
                Issue.record("the job should still wait")
                return
            }
            let connects = machine.retry()
            #expect(connects)
        }
        guard case .fail([1], retry: _?) = machine.connectFailed(isPermanent: false, random: 0) else {
            Issue.record("the job should have failed")
            return
        }
        #expect(machine.submit(Job(id: 2, isRepeatable: true)) == .queued)
        let connects = machine.retry()
        #expect(connects)
        machine.connected()
        #expect(machine.nextBatch().map(\.id) == [2])
    }

    @Test func `a refused connection fails at once`() {
        var machine = PipelineStateMachine(maximumQueued: 10)
        _ = machine.submit(Job(id: 1, isRepeatable: true))
        guard case .fail([1], retry: _) = machine.connectFailed(isPermanent: true, random: 0) else {
            Issue.record("the job should have failed")
            return
        }
    }

    @Test func `a closed pipeline takes nothing and fails what it has`() {
        var (machine, batch) = open(reads(1...1))
        _ = machine.submit(Job(id: 2, isRepeatable: true))
        #expect(machine.close() == [2])
        #expect(machine.submit(Job(id: 3, isRepeatable: true)) == .rejectClosed)
        #expect(machine.ended(batch, [.lost], commitFailed: false) == [.fail(1)])
    }
}
