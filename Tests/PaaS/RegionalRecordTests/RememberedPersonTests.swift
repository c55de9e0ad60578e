import ClinicalData
import CloudModel
import RegionalRecord
import TestSupport
import Testing

/// Persons whose sources are gone, and what stays theirs.
@Suite struct RememberedPersonTests {
    private static func lookUp(_ value: String, _ fixture: SharingFixture) async throws -> RegionID? {
        try await fixture.sharing.lookUp(
            system: "urn:test:id", value: fixture.index.identifier(value), query: "",
            by: SharingFixture.asker(fixture.reader))
    }

    private static func log(_ patient: RegionID, _ fixture: SharingFixture) async throws -> [RegionalAuditRow] {
        try await fixture.sharing.accessLog(
            of: patient, before: nil, limit: 50, query: "", by: SharingFixture.asker(fixture.bureau))
    }

    private static func isPermitted(_ patient: RegionID, _ fixture: SharingFixture) async throws -> Bool? {
        try await fixture.sharing.decide(
            on: .patient(patient), for: SharingFixture.everything, by: SharingFixture.asker(fixture.reader))?
            .isPermitted
    }

    @Test func `the log outlives the last source, and goes on`() async throws {
        let fixture = try await SharingFixture()
        try await fixture.write(try fixture.terms())
        #expect(try await fixture.decide()?.isPermitted == true)
        try await fixture.index.state("h1", "p1", nil, version: 2)
        #expect(try await fixture.decide() == nil)
        let rows = try await Self.log(fixture.patient, fixture)
        let told = rows.reversed().map { "\($0.event.action) \($0.event.outcome) \($0.crossing.reason ?? "-")" }
        #expect(told == ["E 0 -", "C 0 -", "E 0 consent", "E 4 not-found"])
        try await fixture.index.forget("h1")
        #expect(try await Self.log(fixture.patient, fixture).count == rows.count + 1)
    }

    @Test func `a person comes back with an identifier, and with a source that is not deleted any more`() async throws {
        let fixture = try await SharingFixture()
        try await fixture.write(try fixture.terms())
        try await fixture.index.state("h1", "p1", nil, version: 2)
        try await fixture.index.begin("h3")
        try await fixture.index.state("h3", "q1", ["id"])
        #expect(try await Self.lookUp("id", fixture) == fixture.patient)
        #expect(try await fixture.decide()?.permits.map(\.patientID) == ["q1"])
        // The same once more; without any identifier it is the resource that says who it is.
        try await fixture.index.state("h3", "q1", nil, version: 2)
        #expect(try await fixture.decide() == nil)
        try await fixture.index.state("h3", "q1", [], version: 3)
        #expect(try await fixture.decide()?.permits.map(\.patientID) == ["q1"])
    }

    @Test func `another database's source is nobody that its name was known for`() async throws {
        let fixture = try await SharingFixture()
        try await fixture.index.state("h1", "p1", nil, version: 2)
        try await fixture.index.forget("h1")
        try await fixture.index.begin("h1", life: 2, token: 2)
        try await fixture.index.state("h1", "p1", [], life: 2, token: 2)
        #expect(try await fixture.decide() == nil)
        // An identifier is the person's whoever states it.
        try await fixture.index.state("h1", "p1", ["id"], version: 2, life: 2, token: 2)
        #expect(try await fixture.decide(institution: fixture.holder, life: 2)?.permits.map(\.patientID) == ["p1"])
    }

    @Test func `an identifier that is mistyped and corrected takes nothing from anybody`() async throws {
        let fixture = try await SharingFixture()
        try await fixture.write(try fixture.terms())
        try await fixture.index.begin("h3")
        try await fixture.index.state("h3", "q1", ["nine"])
        let other = try #require(try await Self.lookUp("nine", fixture))
        let denial = try await fixture.write(try fixture.terms(permits: false, of: other))
        for version: Int32 in [2, 4] {
            try await fixture.index.state("h3", "q1", ["id"], version: version)
            #expect(try await Self.isPermitted(other, fixture) == nil)
            #expect(try await Self.log(other, fixture).contains { $0.event.action == "C" })
            try await fixture.index.state("h3", "q1", ["nine"], version: version + 1)
            #expect(try await Self.lookUp("nine", fixture) == other)
            #expect(try await fixture.decide()?.permits.map(\.patientID) == ["p1"])
            // A new permission does not get past the denial.
            try await fixture.write(try fixture.terms(of: other))
            #expect(try await Self.isPermitted(other, fixture) == false)
        }
        try await fixture.write(try fixture.terms(.inactive, permits: false, of: other), id: denial.id)
        #expect(try await Self.isPermitted(other, fixture) == true)
    }

    @Test func `who was merged into a person whose sources go comes back with it`() async throws {
        let fixture = try await SharingFixture()
        for name in ["h3", "h4"] { try await fixture.index.begin(name) }
        try await fixture.index.state("h3", "q1", ["five"])
        let first = try #require(try await Self.lookUp("five", fixture))
        try await fixture.index.state("h4", "r1", ["nine"])
        let second = try #require(try await Self.lookUp("nine", fixture))
        try await fixture.index.state("h3", "q1", ["five", "nine"], version: 2)
        try await fixture.index.state("h4", "r1", nil, version: 2)
        #expect(try await fixture.index.current(first.text) == second.text)
        // Another's, and back.
        try await fixture.index.state("h3", "q1", ["id"], version: 3)
        #expect(try await fixture.index.current(second.text) == nil)
        try await fixture.index.state("h3", "q1", ["five", "nine"], version: 4)
        #expect(try await fixture.index.current(second.text) == second.text)
        #expect(try await fixture.index.current(first.text) == second.text)
        #expect(try await fixture.index.holders(second.text) == ["h3/q1"])
    }

    @Test func `who states what two were known by is both, until it states one no more`() async throws {
        let fixture = try await SharingFixture()
        try await fixture.index.begin("h3")
        try await fixture.index.state("h3", "q1", ["nine"])
        let other = try #require(try await Self.lookUp("nine", fixture))
        for source in [("h1", "p1"), ("h3", "q1")] {
            try await fixture.index.state(source.0, source.1, nil, version: 2)
        }
        try await fixture.index.begin("h4")
        try await fixture.index.state("h4", "r1", ["id", "nine"])
        #expect(try await fixture.index.current(other.text) == fixture.patient.text)
        #expect(try await fixture.index.holders(fixture.patient.text) == ["h4/r1"])
        // Somebody else has the second: it was a mistake.
        try await fixture.index.state("h3", "q1", ["nine"], version: 3)
        #expect(try await fixture.index.holders(fixture.patient.text) == ["h3/q1", "h4/r1"])
        try await fixture.index.state("h4", "r1", ["id"], version: 2)
        #expect(try await fixture.index.holders(other.text) == ["h3/q1"])
        #expect(try await fixture.index.holders(fixture.patient.text) == ["h4/r1"])
    }

    @Test func `a person with sources is joined before one without, who stays as they were`() async throws {
        let fixture = try await SharingFixture()
        try await fixture.index.begin("h3")
        try await fixture.index.state("h3", "q1", ["nine"])
        let other = try #require(try await Self.lookUp("nine", fixture))
        try await fixture.index.state("h3", "q1", nil, version: 2)
        try await fixture.index.state("h3", "q2", ["id", "nine"])
        #expect(try await fixture.index.holders(fixture.patient.text) == ["h1/p1", "h3/q2"])
        #expect(try await fixture.index.current(other.text) == nil)
        try await fixture.index.state("h3", "q2", ["nine"], version: 2)
        #expect(try await fixture.index.holders(other.text) == ["h3/q2"])
    }

    @Test func `whom neither a consent nor the log names is forgotten`() async throws {
        let index = try await IndexFixture()
        try await index.begin("a")
        try await index.state("a", "1", ["x"])
        let person = try #require(try await index.find("x"))
        try await index.state("a", "1", nil, version: 2)
        try await index.state("a", "1", ["x"], version: 3)
        #expect(try await index.find("x") != person)
    }
}
