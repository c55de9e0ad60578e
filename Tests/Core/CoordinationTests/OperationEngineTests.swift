import CloudModel
import Coordination
import Logging
import PostgresDriver
import TestSupport
import Testing

/// The engine on a real Postgres.
@Suite struct OperationEngineTests {
    /// A handler whose steps note what they do; `fail` stands in for the work of the second.
    private func handler(
        _ journal: Journal, kind: String = "thing.create", pointOfNoReturn: String? = nil,
        second: @escaping @Sendable (OperationContext) async throws -> OperationStep.Outcome = { _ in .done }
    ) -> Handler {
        Handler(
            kind: kind,
            steps: [
                OperationStep("first", percent: 40) { context in
                    journal.note("first \(context.operation.subject)")
                    return .done
                } undo: { context in
                    journal.note("undo first \(context.operation.subject)")
                },
                OperationStep("second", percent: 80) { context in
                    journal.note("second \(context.operation.subject)")
                    return try await second(context)
                } undo: { context in
                    journal.note("undo second \(context.operation.subject)")
                },
            ], pointOfNoReturn: pointOfNoReturn)
    }

    private func begin(_ fixture: ControlFixture, _ subjects: [String]) async throws -> [String] {
        var ids: [String] = []
        for subject in subjects { ids.append(try await fixture.begin("thing.create", subject: subject)) }
        return ids
    }

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

    @Test func `an operation runs its steps and tells of each`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let id = try await fixture.begin("thing.create", subject: "a")
            #expect(try await fixture.status(id).phase == .queued)
            try await fixture.withEngine(leader, [handler(journal)]) {
                let status = try await fixture.ended(id)
                #expect(status.phase == .succeeded)
                #expect(status.percent == 100)
                #expect(status.error == nil)
                #expect(status.startedAt != nil && status.endedAt != nil)
            }
            #expect(journal.all == ["first a", "second a"])
            let told = try await fixture.events(id).map { "\($0.phase) \($0.percent) \($0.step ?? "-")" }
            #expect(
                told == [
                    "queued 0 -", "running 0 -", "running 0 first", "running 40 first", "running 40 second",
                    "running 80 second", "succeeded 100 second",
                ])
        }
    }

    @Test func `a failure for good is undone and says why`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let id = try await fixture.begin("thing.create", subject: "a")
            let failing = handler(journal) { _ in throw OperationFailure("no-room", "there is no room") }
            try await fixture.withEngine(leader, [failing]) {
                let status = try await fixture.ended(id)
                #expect(status.phase == .failed)
                #expect(status.error == OperationFailure("no-room", "there is no room"))
            }
            #expect(journal.all == ["first a", "second a", "undo second a", "undo first a"])
        }
    }

    @Test func `an error is tried again, and the pause says so`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let id = try await fixture.begin("thing.create")
            let stumbling = handler(journal) { _ in
                if journal.all.count < 4 { throw PostgresError(.connection, "away") }
                return .done
            }
            try await fixture.withEngine(leader, [stumbling]) {
                let status = try await fixture.ended(id)
                #expect(status.phase == .succeeded)
            }
            #expect(journal.all == ["first ", "second ", "second ", "second "])
            let messages = try await fixture.events(id).compactMap(\.message)
            #expect(messages == ["second did not succeed and is tried again"])
        }
    }

    /// Makes the record that `operation` begins its second step fail, so often.
    private func refuse(_ operation: String, sqlState: String, times: Int, _ fixture: ControlFixture) async throws {
        try await fixture.pool.withConnection { connection in
            try await connection.execute(
                """
                create sequence public.refused;
                create function public.refuse() returns trigger language plpgsql as $$
                begin
                    if nextval('public.refused') <= \(times) then
                        raise exception using errcode = '\(sqlState)', message = 'refused';
                    end if;
                    return new;
                end $$;
                create trigger refuse before insert on control.operation_step for each row
                when (new.operation = '\(operation)' and new.name = 'second') execute function public.refuse();
                """)
        }
    }

    @Test func `a record that the database refuses holds up its own operation only`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let other = try await fixture.begin("thing.create", subject: "other")
            let refused = try await fixture.begin("thing.create", subject: "refused")
            // A deadlock.
            try await refuse(refused, sqlState: "40P01", times: 2, fixture)
            let handler = handler(journal) { context in
                if context.operation.id == other { _ = try await fixture.ended(refused) }
                return .done
            }
            try await fixture.withEngine(leader, [handler]) {
                let phases = [try await fixture.ended(refused).phase, try await fixture.ended(other).phase]
                #expect(phases == [.succeeded, .succeeded])
            }
            #expect(journal.all.filter { $0 == "second other" }.count == 1)
            #expect(journal.all.filter { $0 == "second refused" }.count == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func `an engine whose database is away ends with the error, whatever else is under way`() async throws {
        try await withLeader { fixture, leader in
            let slow = try await fixture.begin("thing.create", subject: "slow")
            let refused = try await fixture.begin("thing.create", subject: "refused")
            // The server is shutting down.
            try await refuse(refused, sqlState: "57P01", times: 1, fixture)
            let handler = handler(Journal()) { context in
                if context.operation.id == slow { try await Task.sleep(for: .seconds(600)) }
                return .done
            }
            let engine = OperationEngine(leader: leader, handlers: [handler], logger: Logger(label: "test"))
            await #expect { try await engine.run() } throws: { ($0 as? CoordinationError)?.code == .unavailable }
            #expect(try await fixture.status(refused).phase == .running)
            #expect(try await fixture.status(slow).phase == .running)
        }
    }

    @Test func `cancelling what waits in the queue ends it at once, without a controller`() async throws {
        try await ControlFixture.run { fixture in
            let id = try await fixture.begin("thing.create")
            try await fixture.cancel(id)
            #expect(try await fixture.status(id).phase == .cancelled)
            await #expect { try await fixture.cancel(id) } throws: { ($0 as? PostgresError)?.sqlState == "MC409" }
        }
    }

    @Test func `cancelling what runs takes it back`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let id = try await fixture.begin("thing.create", subject: "a")
            let slow = handler(journal) { _ in
                try await Task.sleep(for: .seconds(600))
                return .done
            }
            try await fixture.withEngine(leader, [slow]) {
                _ = try await fixture.status(id) { $0.step == "second" }
                try await fixture.cancel(id, times: 2)
                #expect(try await fixture.ended(id).phase == .cancelled)
            }
            #expect(journal.all == ["first a", "second a", "undo second a", "undo first a"])
        }
    }

    @Test func `from the point of no return it is too late to cancel`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let id = try await fixture.begin("thing.create")
            let slow = handler(journal, pointOfNoReturn: "second") { _ in
                try await Task.sleep(for: .milliseconds(300))
                return .done
            }
            try await fixture.withEngine(leader, [slow]) {
                _ = try await fixture.status(id) { $0.step == "second" }
                await #expect { try await fixture.cancel(id) } throws: { ($0 as? PostgresError)?.sqlState == "MC409" }
                #expect(try await fixture.ended(id).phase == .succeeded)
            }
        }
    }

    @Test func `past its deadline an operation is undone`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let id = try await fixture.begin("thing.create", deadline: 0.5)
            let slow = handler(journal) { _ in .waiting(reason: "it boots", after: .milliseconds(50)) }
            try await fixture.withEngine(leader, [slow]) {
                let status = try await fixture.ended(id)
                #expect(status.phase == .failed)
                #expect(status.error?.code == "deadline-exceeded")
                #expect(status.error?.message.hasSuffix("it boots") == true)
            }
            #expect(journal.all.suffix(2) == ["undo second ", "undo first "])
        }
    }

    @Test func `one after the other for one thing, side by side for several`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let slow = handler(journal) { _ in
                try await Task.sleep(for: .milliseconds(300))
                return .done
            }
            let ids = try await begin(fixture, ["a", "a", "b"])
            try await fixture.withEngine(leader, [slow]) {
                for id in ids {
                    let status = try await fixture.ended(id)
                    #expect(status.phase == .succeeded)
                }
            }
            let firsts = journal.all.filter { $0.hasPrefix("first") }
            #expect(Set(firsts.prefix(2)) == ["first a", "first b"])
            #expect(journal.all.filter { $0.hasSuffix(" a") } == ["first a", "second a", "first a", "second a"])
        }
    }

    @Test func `never more than allowed are under way`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let slow = handler(journal) { _ in
                journal.note("in")
                try await Task.sleep(for: .milliseconds(50))
                journal.note("out")
                return .done
            }
            let ids = try await begin(fixture, (0..<12).map(String.init))
            try await fixture.withEngine(leader, [slow], parallel: 3) {
                for id in ids { _ = try await fixture.ended(id) }
            }
            var inside = 0
            var most = 0
            for line in journal.all {
                if line == "in" { inside += 1 } else if line == "out" { inside -= 1 }
                most = max(most, inside)
            }
            #expect(most == 3)
        }
    }

    @Test func `what must come first comes first, and its failure fails what waits for it`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let first = try await fixture.begin("thing.create", subject: "a")
            let second = try await fixture.begin("thing.create", subject: "b", after: [first])
            let broken = try await fixture.begin("thing.break", subject: "c")
            let waiting = try await fixture.begin("thing.create", subject: "d", after: [broken])
            let last = try await fixture.begin("thing.create", subject: "e", after: [waiting])
            let failing = handler(journal, kind: "thing.break") { _ in throw OperationFailure("no-room", "no room") }
            try await fixture.withEngine(leader, [handler(journal), failing]) {
                #expect(try await fixture.ended(second).phase == .succeeded)
                for id in [waiting, last] {
                    let status = try await fixture.ended(id)
                    #expect(status.error?.code == "dependency-failed")
                }
            }
            let things = journal.all.filter { $0.hasSuffix("a") || $0.hasSuffix("b") }
            #expect(things == ["first a", "second a", "first b", "second b"])
            #expect(!journal.all.contains("first d"))
        }
    }

    @Test func `an apply becomes what its parts become`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let well = try await fixture.begin("apply", tenant: nil)
            for subject in ["a", "b"] {
                _ = try await fixture.begin("thing.create", subject: subject, parent: well)
            }
            let ill = try await fixture.begin("apply", tenant: nil)
            _ = try await fixture.begin("thing.create", subject: "c", parent: ill)
            _ = try await fixture.begin("thing.break", subject: "d", parent: ill)
            let nothing = try await fixture.begin("apply", tenant: nil)
            let failing = handler(journal, kind: "thing.break") { _ in throw OperationFailure("no-room", "no room") }
            try await fixture.withEngine(leader, [handler(journal), failing]) {
                #expect(try await fixture.ended(well).phase == .succeeded)
                let status = try await fixture.ended(ill)
                #expect(status.error == OperationFailure("part-failed", "1 of 2 parts failed"))
                #expect(try await fixture.ended(nothing).phase == .succeeded)
            }
        }
    }

    @Test func `cancelling an apply cancels its parts`() async throws {
        try await withLeader { fixture, leader in
            let journal = Journal()
            let whole = try await fixture.begin("apply", tenant: nil)
            let running = try await fixture.begin("thing.create", subject: "a", parent: whole)
            let queued = try await fixture.begin("thing.create", subject: "b", parent: whole, after: [running])
            let slow = handler(journal) { _ in .waiting(reason: "it boots", after: .seconds(60)) }
            try await fixture.withEngine(leader, [slow]) {
                _ = try await fixture.status(running) { $0.message == "it boots" }
                try await fixture.cancel(whole)
                #expect(try await fixture.ended(running).phase == .cancelled)
                #expect(try await fixture.ended(queued).phase == .cancelled)
                #expect(try await fixture.ended(whole).phase == .cancelled)
            }
        }
    }

    @Test func `a kind that nobody carries out fails`() async throws {
        try await withLeader { fixture, leader in
            let id = try await fixture.begin("thing.unheard-of")
            try await fixture.withEngine(leader, []) {
                let status = try await fixture.ended(id)
                #expect(status.error?.code == "no-handler")
            }
        }
    }

    @Test func `what is begun must have a parent and predecessors that are there`() async throws {
        try await ControlFixture.run { fixture in
            let unknown = "00000000-0000-4000-8000-000000000009"
            await #expect { try await fixture.begin("thing.create", parent: unknown) } throws: {
                ($0 as? PostgresError)?.sqlState == "MC422"
            }
            await #expect { try await fixture.begin("thing.create", after: [unknown]) } throws: {
                ($0 as? PostgresError)?.sqlState == "MC422"
            }
        }
    }
}
