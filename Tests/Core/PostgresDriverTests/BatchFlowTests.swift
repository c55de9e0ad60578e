import Testing

@testable import PostgresDriver

@Suite struct BatchFlowTests {
    typealias Flow = BatchFlow<String, Int>

    @Test func `results belong to their statements and are reported at the sync`() throws {
        var flow = Flow()
        flow.sent(batch: 7, steps: [.prepare(statement: 1, query: 0), .query(0), .query(1)], queries: 2)
        try flow.received(.success("prepared"))
        try flow.endOfStatement()
        try flow.received(.success("a"))
        try flow.endOfStatement()
        try flow.received(.success("b"))
        try flow.endOfStatement()
        let finished = try flow.sync()
        #expect(finished.batch == 7)
        #expect(finished.outcomes == [.success("a"), .success("b")])
        #expect(finished.isComplete)
        #expect(finished.notPrepared.isEmpty)
        #expect(flow.outstanding == 0)
    }

    @Test func `the statements behind a failed one are aborted and the next batch is not touched`() throws {
        var flow = Flow()
        flow.sent(batch: 1, steps: [.query(0), .query(1), .prepare(statement: 4, query: 2), .query(2)], queries: 3)
        flow.sent(batch: 2, steps: [.query(0)], queries: 1)
        try flow.received(.success("a"))
        try flow.endOfStatement()
        try flow.received(.failure(42))
        try flow.endOfStatement()
        for _ in 0..<2 {
            try flow.received(.aborted)
            try flow.endOfStatement()
        }
        let first = try flow.sync()
        #expect(first.outcomes == [.success("a"), .failure(42), .aborted])
        #expect(first.notPrepared == [4])
        try flow.received(.success("b"))
        try flow.endOfStatement()
        let second = try flow.sync()
        #expect(second.outcomes == [.success("b")])
    }

    @Test func `a failed preparation is the failure of its statement`() throws {
        var flow = Flow()
        flow.sent(batch: 1, steps: [.prepare(statement: 9, query: 0), .query(0)], queries: 1)
        try flow.received(.failure(1))
        try flow.endOfStatement()
        try flow.received(.aborted)
        try flow.endOfStatement()
        let finished = try flow.sync()
        #expect(finished.outcomes == [.failure(1)])
        #expect(finished.notPrepared == [9])
    }

    @Test func `a commit that fails at the sync fails every statement of the batch`() throws {
        var flow = Flow()
        flow.sent(batch: 1, steps: [.query(0), .query(1)], queries: 2)
        for value in ["a", "b"] {
            try flow.received(.success(value))
            try flow.endOfStatement()
        }
        try flow.received(.failure(23))
        try flow.endOfStatement()
        let finished = try flow.sync()
        #expect(finished.outcomes == [.failure(23), .failure(23)])
        #expect(finished.commitFailed)
    }

    @Test func `a lost connection turns successes before the sync into losses`() throws {
        var flow = Flow()
        flow.sent(batch: 1, steps: [.query(0), .query(1), .query(2)], queries: 3)
        flow.sent(batch: 2, steps: [.query(0)], queries: 1)
        try flow.received(.success("a"))
        try flow.endOfStatement()
        try flow.received(.failure(5))
        let finished = flow.lost(99)
        #expect(finished.map(\.outcomes) == [[.failure(99), .failure(5), .failure(99)], [.failure(99)]])
        #expect(finished.allSatisfy { batch in !batch.isComplete })
        #expect(flow.outstanding == 0)
    }

    @Test func `a deallocation that was aborted is remembered`() throws {
        var flow = Flow()
        flow.sent(batch: 0, steps: [.deallocate(statement: 3), .deallocate(statement: 4)], queries: 0)
        try flow.received(.failure(1))
        try flow.endOfStatement()
        try flow.received(.aborted)
        try flow.endOfStatement()
        let finished = try flow.sync()
        #expect(finished.notDeallocated == [4])
    }

    @Test func `replies that fit nothing are violations`() throws {
        var flow = Flow()
        #expect(throws: Flow.Violation.self) { try flow.received(.success("a")) }
        #expect(throws: Flow.Violation.self) { try flow.endOfStatement() }
        #expect(throws: Flow.Violation.self) { _ = try flow.sync() }
        flow.sent(batch: 1, steps: [.query(0)], queries: 1)
        #expect(throws: Flow.Violation.self) { try flow.endOfStatement() }
        #expect(throws: Flow.Violation.self) { _ = try flow.sync() }
    }
}
