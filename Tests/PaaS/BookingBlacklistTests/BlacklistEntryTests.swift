import RegionalRecord
import StrictJSON
import Testing

@testable import BookingBlacklist

@Suite struct BlacklistEntryTests {
    private static func code(_ code: BlacklistError.Code, _ detail: String = "") -> (any Error) -> Bool {
        { ($0 as? BlacklistError)?.code == code && ($0 as? BlacklistError)?.detail == detail }
    }

    @Test func `an entry is recorded, lifted and kept in all versions`() async throws {
        let fixture = try await BlacklistFixture()
        let made = try await fixture.write(fixture.flag("x"))
        #expect(made.version == 1)
        let lifted = try await fixture.write(fixture.flag("x", status: "inactive"), id: made.id, expected: 1)
        #expect(lifted.version == 2 && lifted.recordedAt > made.recordedAt)
        let asker = try fixture.asker()
        #expect(try await fixture.blacklist.versions(of: made.id, version: nil, by: asker).map(\.version) == [2, 1])
        #expect(try await fixture.blacklist.entry(made.id, by: asker)?.version == 2)
        let bars = try await fixture.blacklist.entries(
            BlacklistSearch(
                person: (BlacklistFixture.system, fixture.person("x")), status: nil, barsOnly: true, before: nil,
                limit: 10),
            query: "", by: asker)
        #expect(bars.isEmpty)
    }

    @Test func `what may not be is refused`() async throws {
        let fixture = try await BlacklistFixture()
        let id = try await fixture.write(fixture.flag("x")).id
        await #expect(
            performing: { try await fixture.write(fixture.flag("y"), id: id) }, throws: Self.code(.personChanged))
        await #expect(
            performing: { try await fixture.write(fixture.flag("x"), id: id, expected: 7) },
            throws: Self.code(.versionConflict, "1"))
        await #expect(
            performing: { try await fixture.write(fixture.flag("x", status: "inactive")) },
            throws: Self.code(.illegalTransition, "none,inactive"))
        try await fixture.write(fixture.flag("x", status: "entered-in-error"), id: id)
        await #expect(
            performing: { try await fixture.write(fixture.flag("x"), id: id) },
            throws: Self.code(.illegalTransition, "entered-in-error,active"))
        let other = try #require(RegionID("00000000-0000-4000-8000-000000000000"))
        await #expect(
            performing: { try await fixture.write(fixture.flag("x"), id: other) }, throws: Self.code(.unknownEntry))
    }

    @Test func `the period of an automatic entry stays`() async throws {
        let fixture = try await BlacklistFixture()
        try await fixture.begin("a")
        try await fixture.tell("a", ["x"], ["1": 3, "2": 2, "3": 1])
        let id = try #require(try await fixture.entries("x").first).id
        await #expect(
            performing: { try await fixture.write(fixture.flag("x", status: "inactive"), id: id) },
            throws: Self.code(.periodChanged))
    }

    @Test func `a repeated request writes once and gets the same`() async throws {
        let fixture = try await BlacklistFixture()
        let request = RepeatableRequest(operation: "POST", key: fixture.mark, digest: [1])
        let first = try await fixture.write(fixture.flag("x"), request: request)
        try await fixture.write(fixture.flag("x", status: "inactive"), id: first.id)
        let again = try await fixture.write(fixture.flag("x"), request: request)
        #expect(again.id == first.id && again.version == 1)
        #expect(try await fixture.blacklist.written(by: request, by: fixture.asker())?.id == first.id)
        let changed = RepeatableRequest(operation: "POST", key: fixture.mark, digest: [2])
        await #expect(
            performing: { try await fixture.write(fixture.flag("x"), request: changed) }, throws: Self.code(.keyReused))
        #expect(try await fixture.entries("x").count == 1)
    }

    @Test func `the same request twice at once writes once`() async throws {
        let fixture = try await BlacklistFixture()
        let request = RepeatableRequest(operation: "POST", key: fixture.mark, digest: [1])
        let ids = try await withThrowingTaskGroup(of: RegionID.self) { group in
            for _ in 0..<6 {
                group.addTask { try await fixture.write(fixture.flag("x"), request: request).id }
            }
            return try await group.reduce(into: Set<RegionID>()) { $0.insert($1) }
        }
        #expect(ids.count == 1)
        #expect(try await fixture.entries("x").count == 1)
    }

    // MARK: Terms

    private static let valid = """
        {"resourceType":"Flag","status":"active",\
        "category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/flag-category","code":"admin"}]}],\
        "code":{"coding":[{"system":"urn:medcloud:booking-bar","code":"misuse"}],"text":"why"},\
        "subject":{"identifier":{"system":"urn:test:id","value":"a-7"}},\
        "period":{"start":"2026-11-01","end":"2026-11-30"},"author":{"display":"Bureau"}}
        """
    /// 2026-11-15.
    private static let now: Int64 = 1_794_700_800_000_000

    private static func findings(_ text: String) throws -> [String] {
        let root = try JSONDocument(Array(text.utf8)).root
        do {
            _ = try BlacklistTerms(root, days: .utc, now: now)
            return []
        } catch {
            return error.findings.map(\.place)
        }
    }

    @Test func `a period of days is whole days`() throws {
        let terms = try BlacklistTerms(try JSONDocument(Array(Self.valid.utf8)).root, days: .utc, now: Self.now)
        #expect(terms.person == PersonIdentifier(system: "urn:test:id", value: "a-7"))
        #expect(terms.ends - terms.starts == 30 * BlacklistFixture.day)
    }

    @Test(arguments: [
        ("\"active\"", "\"cancelled\"", "Flag.status"), ("\"admin\"", "\"clinical\"", "Flag.category"),
        ("\"misuse\"", "\"rude\"", "Flag.code.coding"), ("urn:medcloud:booking-bar", "urn:other", "Flag.code.coding"),
        (",\"text\":\"why\"", "", "Flag.code.text"),
        ("\"subject\":{", "\"subject\":{\"reference\":\"Patient/1\",", "Flag.subject.reference"),
        (",\"value\":\"a-7\"", "", "Flag.subject.identifier"), ("a-7", "000000", "Flag.subject.identifier"),
        ("\"start\":\"2026-11-01\",", "", "Flag.period.start"), (",\"end\":\"2026-11-30\"", "", "Flag.period.end"),
        ("2026-11-30", "2026-10-01", "Flag.period"), ("2026-11-30", "2036-12-01", "Flag.period"),
        ("2026-11-30", "2026-11-10", "Flag.period.end"),
        ("\"display\":\"Bureau\"", "\"reference\":\"Organization/b\"", "Flag.author.reference"),
        ("\"period\"", "\"encounter\":{\"reference\":\"Encounter/1\"},\"period\"", "Flag.encounter"),
    ])
    func `each broken rule is named`(_ part: String, _ other: String, _ place: String) throws {
        #expect(try Self.findings(Self.valid).isEmpty)
        #expect(try Self.findings(Self.valid.replacing(part, with: other)) == [place])
    }
}
