import PostgresDriver
import RegionalRecord
import Testing

@testable import BookingBlacklist

@Suite struct BlacklistRuleTests {
    @Test func `the third no-show at two hospitals bars for a month from its date`() async throws {
        let fixture = try await BlacklistFixture()
        for name in ["a", "b"] { try await fixture.begin(name) }
        try await fixture.tell("a", ["x"], ["1": 200, "2": 20])
        #expect(try await fixture.states("x").isEmpty)
        try await fixture.tell("b", ["x"], ["1": 10], patient: "other")
        let entry = try #require(try await fixture.entries("x").first)
        #expect(entry.status == "active")
        #expect(entry.starts == BlacklistFixture.daysAgo(10))
        let days = (entry.ends - entry.starts) / BlacklistFixture.day
        #expect((28...31).contains(days), "\(days)")
        #expect(try await fixture.entries("x").count == 1)
    }

    @Test(arguments: [
        (["1": 400, "2": 20, "3": 10], 0), (["1": 360, "2": 20, "3": 10], 1), (["1": 30, "2": 20], 0),
        (["1": 300, "2": 200, "3": 100], 0), (["1": 20, "2": 10, "3": -10], 0), ([String: Int](), 0),
    ])
    func `only enough of them in the months before count, and only where the bar has not ended`(
        _ noShows: [String: Int], _ count: Int
    ) async throws {
        let fixture = try await BlacklistFixture()
        try await fixture.begin("a")
        try await fixture.tell("a", ["x"], noShows)
        #expect(try await fixture.entries("x").count == count)
    }

    @Test func `a region without a rule bars nobody, and what it made before stands or falls with the no-shows`()
        async throws
    {
        let fixture = try await BlacklistFixture()
        try await fixture.begin("a")
        try await fixture.tell("a", ["x"], ["1": 3, "2": 2, "3": 1], rule: nil)
        #expect(try await fixture.states("x").isEmpty)
        try await fixture.tell("a", ["x"], ["1": 3, "2": 2, "3": 1])
        try await fixture.tell("a", ["x"], ["1": 3, "2": 2, "3": 1], rule: nil)
        #expect(try await fixture.states("x") == ["active v1"])
        try await fixture.tell("a", ["x"], ["1": 3, "2": 2], rule: nil)
        #expect(try await fixture.states("x") == ["entered-in-error v2"])
    }

    @Test func `a correction takes the entry back, and the same again is told once`() async throws {
        let fixture = try await BlacklistFixture()
        try await fixture.begin("a")
        for _ in 0..<3 { try await fixture.tell("a", ["x"], ["1": 3, "2": 2, "3": 1]) }
        #expect(try await fixture.states("x") == ["active v1"])
        // One of four is corrected: the entry goes back to the third's date.
        try await fixture.tell("a", ["x"], ["1": 5, "2": 4, "3": 3, "4": 2])
        #expect(try await fixture.entries("x").map(\.starts) == [BlacklistFixture.daysAgo(2)])
        try await fixture.tell("a", ["x"], ["1": 5, "2": 4, "3": 3])
        #expect(try await fixture.entries("x").map(\.starts) == [BlacklistFixture.daysAgo(3)])
        try await fixture.tell("a", ["x"], ["2": 4, "3": 3])
        #expect(try await fixture.states("x") == ["entered-in-error v4"])
        try await fixture.tell("a", ["x"], ["1": 5, "2": 4, "3": 3])
        #expect(try await fixture.states("x") == ["active v1", "entered-in-error v4"])
    }

    @Test func `an entry that the bureau lifted stays lifted until a later no-show`() async throws {
        let fixture = try await BlacklistFixture()
        try await fixture.begin("a")
        try await fixture.tell("a", ["x"], ["1": 9, "2": 8, "3": 7])
        let entry = try #require(try await fixture.entries("x").first)
        try await fixture.write(entry.with(status: "inactive"), id: entry.id)
        try await fixture.tell("a", ["x"], ["1": 9, "2": 8])
        try await fixture.tell("a", ["x"], ["1": 9, "2": 8, "3": 7])
        #expect(try await fixture.states("x") == ["inactive v2"])
        try await fixture.tell("a", ["x"], ["1": 9, "2": 8, "3": 7, "4": 6])
        #expect(try await fixture.states("x") == ["active v1", "inactive v2"])
    }

    @Test func `each identifier of a patient is barred, and one that the patient loses is not`() async throws {
        let fixture = try await BlacklistFixture()
        try await fixture.begin("a")
        try await fixture.tell("a", ["x", "y"], ["1": 3, "2": 2, "3": 1])
        #expect(try await fixture.states("x") == ["active v1"])
        try await fixture.tell("a", ["x"], ["1": 3, "2": 2, "3": 1])
        #expect(try await fixture.states("x") == ["active v1"])
        #expect(try await fixture.states("y") == ["entered-in-error v2"])
    }

    @Test func `hospitals that tell at the same time are counted together`() async throws {
        let fixture = try await BlacklistFixture()
        for name in ["a", "b", "c"] { try await fixture.begin(name) }
        try await fixture.tellSlowly(
            "a", ["x"], ["1": 1],
            while: ["b", "c"].map { name in { try await fixture.tell(name, ["x"], ["1": 2]) } })
        #expect(try await fixture.entries("x").map(\.starts) == [BlacklistFixture.daysAgo(1)])
    }

    // MARK: Feeds

    private static func isFenced(_ error: any Error) -> Bool { (error as? PostgresError)?.sqlState == "MC423" }

    @Test func `a lower token and another database of the tenant are refused`() async throws {
        let fixture = try await BlacklistFixture()
        try await fixture.begin("a", token: 2)
        await #expect(performing: { try await fixture.tell("a", ["x"], ["1": 1], token: 1) }, throws: Self.isFenced)
        await #expect(
            performing: { try await fixture.tell("a", ["x"], ["1": 1], database: "two", token: 9) },
            throws: Self.isFenced)
        #expect(try await !fixture.begin("a", database: "two", token: 9))
        try await fixture.forget("a")
        #expect(try await fixture.begin("a", database: "two", token: 9))
    }

    @Test func `what a tenant that is gone has told is forgotten`() async throws {
        let fixture = try await BlacklistFixture()
        for name in ["a", "b"] { try await fixture.begin(name) }
        try await fixture.tell("a", ["x"], ["1": 3, "2": 2])
        try await fixture.tell("b", ["x"], ["1": 1])
        #expect(try await fixture.states("x") == ["active v1"])
        try await fixture.forget("a", database: "another")
        #expect(try await fixture.states("x") == ["active v1"])
        try await fixture.forget("a")
        #expect(try await fixture.states("x") == ["entered-in-error v2"])
    }

    @Test func `a rebuild leaves what it meets and removes what it does not`() async throws {
        let fixture = try await BlacklistFixture()
        try await fixture.begin("a")
        try await fixture.tell("a", ["x"], ["1": 3, "2": 2, "3": 1])
        try await fixture.tell("a", ["y"], ["4": 3, "5": 2, "6": 1], patient: "q")
        try await fixture.rebuild("a") { try await fixture.tell("a", ["x"], ["1": 3, "2": 2, "3": 1]) }
        #expect(try await fixture.states("x") == ["active v1"])
        #expect(try await fixture.states("y") == ["entered-in-error v2"])
    }
}
