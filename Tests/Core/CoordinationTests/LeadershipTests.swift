import Coordination
import Logging
import PostgresDriver
import TestSupport
import Testing

@Suite struct LeadershipTests {
    @Test func `one leads until its lease runs out, and terms only grow`() async throws {
        try await ControlFixture.run { fixture in
            try await fixture.pool.withConnection { first in
                try await fixture.pool.withConnection { second in
                    let one = try #require(try await fixture.lead(on: first, lasting: .milliseconds(300)))
                    #expect(try await fixture.lead(on: second) == nil)
                    try await Task.sleep(for: .milliseconds(400))
                    let two = try #require(try await fixture.lead(on: second))
                    #expect(two.fencingToken > one.fencingToken)
                    await #expect { try await LeaderLease(term: one.fencingToken).renew(on: first) } throws: {
                        ($0 as? CoordinationError)?.code == .lostLeadership
                    }
                }
            }
        }
    }

    @Test func `a renewed lease lasts, and one given back is free at once`() async throws {
        try await ControlFixture.run { fixture in
            try await fixture.pool.withConnection { first in
                try await fixture.pool.withConnection { second in
                    let one = try #require(try await fixture.lead(on: first, lasting: .milliseconds(200)))
                    let lease = LeaderLease(term: one.fencingToken)
                    try await lease.renew(on: first, duration: .seconds(60))
                    try await Task.sleep(for: .milliseconds(300))
                    #expect(try await fixture.lead(on: second) == nil)
                    try await lease.resign(on: first)
                    #expect(try await fixture.lead(on: second) != nil)
                }
            }
        }
    }

    @Test func `the lease of a session that has ended is free at once`() async throws {
        try await ControlFixture.run { fixture in
            try await fixture.pool.withConnection { second in
                let pid = try await fixture.pool.withConnection { first in
                    _ = try #require(try await fixture.lead(on: first))
                    #expect(try await fixture.lead(on: second) == nil)
                    return try await first.query(PostgresStatement("select pg_backend_pid()"))[0].int4(0)
                }
                try await second.query(PostgresStatement("select pg_terminate_backend($1, 5000)"), [.int4(pid)])
                #expect(try await fixture.lead(on: second) != nil)
            }
        }
    }

    @Test func `of many that want to lead one does`() async throws {
        try await ControlFixture.run { fixture in
            let leaders = try await withThrowingTaskGroup(of: Int64?.self) { group in
                for _ in 0..<10 {
                    group.addTask {
                        try await fixture.pool.withConnection { session in
                            let leader = try await fixture.lead(on: session)
                            // The session is kept until all have asked.
                            try await Task.sleep(for: .milliseconds(300))
                            return leader?.fencingToken
                        }
                    }
                }
                return try await group.reduce(into: []) { if let term = $1 { $0.append(term) } }
            }
            #expect(leaders.count == 1)
        }
    }

    /// As a process that was stopped and wakes up after another has taken over.
    @Test func `an old leader that wakes up writes nothing`() async throws {
        try await ControlFixture.run { fixture in
            try await fixture.pool.withConnection { first in
                try await fixture.pool.withConnection { second in
                    try await takeOver(fixture, first, second)
                }
            }
        }
    }

    private func takeOver(
        _ fixture: ControlFixture, _ first: PostgresConnection, _ second: PostgresConnection
    ) async throws {
        let journal = Journal()
        let old = try #require(try await fixture.lead(on: first, lasting: .milliseconds(100)))
        let id = try await fixture.begin("thing.create", subject: "a")
        let gate = AsyncStream.makeStream(of: Void.self)
        let sleeping = Handler(
            kind: "thing.create",
            steps: [
                OperationStep("make", percent: 50) { context in
                    // As a process that sleeps: nothing tells it to stop.
                    await Task.detached {
                        for await _ in gate.stream {}
                        await #expect { try await context.leader.requireLeadership() } throws: {
                            CoordinationError.isLostLeadership($0)
                        }
                        await #expect {
                            try await context.transaction { connection in
                                try await connection.query(
                                    PostgresStatement("update control.operation set message = 'old' where true"))
                            }
                        } throws: { CoordinationError.isLostLeadership($0) }
                        journal.note("old woke")
                    }.value
                    return .done
                }
            ])
        let awake = Handler(
            kind: "thing.create",
            steps: [
                OperationStep("make", percent: 50) { _ in
                    journal.note("new made")
                    return .done
                }
            ])
        let engine = OperationEngine(leader: old, handlers: [sleeping], logger: Logger(label: "test"))
        let running = Task { try await engine.run() }
        _ = try await fixture.status(id) { $0.step == "make" }
        try await Task.sleep(for: .milliseconds(200))
        let new = try #require(try await fixture.lead(on: second))
        try await fixture.withEngine(new, [awake]) {
            let status = try await fixture.ended(id)
            #expect(status.phase == .succeeded)
        }
        gate.continuation.finish()
        await #expect { try await running.value } throws: { CoordinationError.isLostLeadership($0) }
        #expect(journal.all == ["new made", "old woke"])
        let status = try await fixture.status(id)
        #expect(status.phase == .succeeded && status.message == nil)
    }
}
