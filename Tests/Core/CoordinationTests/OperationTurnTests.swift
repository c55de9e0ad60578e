import CloudModel
import Coordination
import PostgresDriver
import Testing

/// Who gets its turn while others wait, act, or cannot be ended.
@Suite struct OperationTurnTests {
    private func withLeader(
        _ body: @Sendable (ControlFixture, LeaderContext) async throws -> Void
    ) async throws {
        try await ControlFixture.run { fixture in
            try await fixture.pool.withConnection { session in
                let leader = try #require(try await fixture.lead(on: session))
                try await body(fixture, leader)
            }
        }
    }

    /// `thing.wait` waits for longer than any test, `thing.make` is done at once.
    private static let waits = Handler(
        kind: "thing.wait",
        steps: [OperationStep("wait", percent: 50) { _ in .waiting(reason: "it boots", after: .seconds(600)) }])
    private static let makes = Handler(kind: "thing.make", steps: [OperationStep("make", percent: 50) { _ in .done }])

    /// Asks for so many operations of one tenant, each for another thing; their ids.
    private func begin(_ number: Int, _ kind: String, _ fixture: ControlFixture) async throws -> [String] {
        var ids: [String] = []
        for index in 0..<number { ids.append(try await fixture.begin(kind, subject: "\(index)")) }
        return ids
    }

    @Test func `what waits leaves its place to others`() async throws {
        try await withLeader { fixture, leader in
            let waiting = try await begin(6, "thing.wait", fixture)
            let other = try await fixture.begin("thing.make", tenant: "h2")
            try await fixture.withEngine(leader, [Self.waits, Self.makes], parallel: 2) {
                #expect(try await fixture.ended(other).phase == .succeeded)
                for id in waiting { _ = try await fixture.status(id) { $0.message == "it boots" } }
            }
        }
    }

    @Test func `what stumbles leaves its place to others`() async throws {
        try await withLeader { fixture, leader in
            let stumbles = Handler(
                kind: "thing.stumble",
                steps: [OperationStep("stumble", percent: 50) { _ in throw PostgresError(.connection, "away") }])
            _ = try await begin(2, "thing.stumble", fixture)
            let other = try await fixture.begin("thing.make", tenant: "h2")
            try await fixture.withEngine(leader, [stumbles, Self.makes], parallel: 2) {
                let status = try await fixture.ended(other)
                #expect(status.phase == .succeeded)
            }
        }
    }

    @Test func `a tenant has no more under way than its share`() async throws {
        try await withLeader { fixture, leader in
            let own = try await begin(3, "thing.wait", fixture)
            let others = try await fixture.begin("thing.make", tenant: "h2")
            let later = try await fixture.begin("thing.make", tenant: "h1", subject: "later")
            try await fixture.withEngine(leader, [Self.waits, Self.makes], share: 2) {
                for id in own.prefix(2) { _ = try await fixture.status(id) { $0.message == "it boots" } }
                #expect(try await fixture.ended(others).phase == .succeeded)
                #expect(try await fixture.status(own[2]).phase == .queued)
                // Its own things wait for each other, and for nobody else.
                #expect(try await fixture.status(later).phase == .queued)
                try await fixture.cancel(own[0])
                #expect(try await fixture.ended(own[0]).phase == .cancelled)
                _ = try await fixture.status(own[2]) { $0.message == "it boots" }
                try await fixture.cancel(own[1])
                #expect(try await fixture.ended(later).phase == .succeeded)
            }
        }
    }

    @Test func `tenants take turns`() async throws {
        try await withLeader { fixture, leader in
            let order = Journal()
            let acts = Handler(
                kind: "thing.act",
                steps: [
                    OperationStep("act", percent: 50) { context in
                        order.note(context.operation.tenant?.rawValue ?? "")
                        // Until another one of those that are allowed has begun.
                        while order.all.count < 2 { try await Task.sleep(for: .milliseconds(5)) }
                        return .done
                    }
                ])
            let all = try await begin(4, "thing.act", fixture) + [try await fixture.begin("thing.act", tenant: "h2")]
            try await fixture.withEngine(leader, [acts], parallel: 2) {
                for id in all { _ = try await fixture.ended(id) }
            }
            #expect(Set(order.all.prefix(2)) == ["h1", "h2"])
        }
    }

    @Test func `an operation whose end is refused holds up nobody else`() async throws {
        try await withLeader { fixture, leader in
            let refused = try await fixture.begin("thing.make", subject: "refused", deadline: 0)
            let late = try await fixture.begin("thing.make", subject: "late", deadline: 0)
            let other = try await fixture.begin("thing.make", subject: "other")
            let whole = try await fixture.begin("apply", tenant: nil)
            try await fixture.pool.withConnection { connection in
                try await connection.execute(
                    """
                    create function public.refuse() returns trigger language plpgsql as $$
                    begin
                        raise exception using errcode = '23P01', message = 'refused';
                    end $$;
                    create trigger refuse after update of phase on control.operation for each row
                    when (new.id = '\(refused)') execute function public.refuse();
                    """)
            }
            try await fixture.withEngine(leader, [Self.makes]) {
                #expect(try await fixture.ended(late).error?.code == "deadline-exceeded")
                #expect(try await fixture.ended(other).phase == .succeeded)
                #expect(try await fixture.ended(whole).phase == .succeeded)
                #expect(try await fixture.status(refused).phase == .queued)
                // It is tried again.
                try await fixture.pool.withConnection {
                    try await $0.execute("drop trigger refuse on control.operation")
                }
                #expect(try await fixture.ended(refused).error?.code == "deadline-exceeded")
            }
        }
    }

    @Test func `what another tenant's operation was is not said`() async throws {
        try await withLeader { fixture, leader in
            let breaks = Handler(
                kind: "thing.break",
                steps: [OperationStep("break", percent: 50) { _ in throw OperationFailure("no-room", "no room") }])
            let broken = try await fixture.begin("thing.break", tenant: "h2", subject: "secret")
            let own = try await fixture.begin("thing.make", tenant: "h2", after: [broken])
            let foreign = try await fixture.begin("thing.make", tenant: "h1", after: [broken])
            try await fixture.withEngine(leader, [breaks, Self.makes]) {
                let failures = [try await fixture.ended(own).error, try await fixture.ended(foreign).error]
                #expect(
                    failures[0]
                        == OperationFailure(
                            "dependency-failed", "what it waits for did not succeed: thing.break secret"))
                #expect(
                    failures[1]
                        == OperationFailure("dependency-failed", "what it waits for did not succeed"))
            }
        }
    }
}
