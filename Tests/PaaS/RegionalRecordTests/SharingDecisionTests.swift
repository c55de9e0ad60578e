import ClinicalData
import CloudModel
import PostgresDriver
import RegionalRecord
import Synchronization
import TestSupport
import Testing

/// When the answer to a revocation was there.
private final class Revocation: Sendable {
    let at = Mutex<ContinuousClock.Instant?>(nil)
}

@Suite struct SharingDecisionTests {
    @Test func `without a consent nothing is permitted, and who holds something is not said`() async throws {
        let fixture = try await SharingFixture()
        let outcome = try #require(try await fixture.decide())
        #expect(!outcome.isPermitted && outcome.permits.isEmpty && outcome.withheld == 1)
    }

    @Test func `a consent permits its institution its purpose, and the access it mints names the holder`() async throws
    {
        let fixture = try await SharingFixture()
        try await fixture.write(try fixture.terms())
        let outcome = try #require(try await fixture.decide())
        let permit = try #require(outcome.permits.first)
        #expect(outcome.isPermitted && outcome.withheld == 0 && outcome.patient == fixture.patient)
        #expect(permit.access == TenantAccess(minting: fixture.holder, origin: .sharingDecision))
        #expect(permit.patientID == "p1" && permit.reason == .consent && permit.types == nil)
        #expect(try await fixture.decide(purpose: "HRESCH")?.isPermitted == false)
        #expect(try await fixture.decide(institution: fixture.bureau)?.isPermitted == false)
    }

    @Test func `what lies with oneself needs no consent`() async throws {
        let fixture = try await SharingFixture()
        let outcome = try #require(try await fixture.decide(institution: fixture.holder))
        #expect(outcome.permits.map(\.reason) == [.ownRecord])
    }

    @Test func `a consent counts from its beginning to its end while it is active`() async throws {
        let fixture = try await SharingFixture()
        let now = SharingFixture.now()
        try await fixture.write(try fixture.terms(.draft))
        try await fixture.write(
            try fixture.terms(starts: now + SharingFixture.hour, ends: now + 2 * SharingFixture.hour))
        try await fixture.write(try fixture.terms(starts: 0, ends: now - SharingFixture.hour))
        #expect(try await fixture.decide()?.isPermitted == false)
    }

    @Test func `a consent for some types permits those`() async throws {
        let fixture = try await SharingFixture()
        let condition = try #require(ResourceType.named("Condition"))
        let observation = try #require(ResourceType.named("Observation"))
        try await fixture.write(try fixture.terms(types: [condition]))
        #expect(try await fixture.decide(RegionalRequest(.searchType, type: observation))?.isPermitted == false)
        #expect(try await fixture.decide(RegionalRequest(.searchType, type: condition))?.isPermitted == true)
        #expect(try await fixture.decide()?.permits.first?.types == [condition])
    }

    @Test func `consents are added up, denials are taken away, and each can be revoked by itself`() async throws {
        let fixture = try await SharingFixture()
        let condition = try #require(ResourceType.named("Condition"))
        let observation = try #require(ResourceType.named("Observation"))
        func types() async throws -> Set<String>? {
            let outcome = try await fixture.decide()
            guard outcome?.isPermitted == true else { return [] }
            return outcome?.permits.first?.types.map { Set($0.map(\.name)) }
        }
        let first = try await fixture.write(try fixture.terms(types: [condition]))
        let second = try await fixture.write(try fixture.terms(types: [observation]))
        #expect(try await types() == ["Condition", "Observation"])
        let broad = try await fixture.write(try fixture.terms())
        #expect(try await types() == nil)
        let denial = try await fixture.write(try fixture.terms(permits: false, types: [condition]))
        let left = try #require(try await types())
        #expect(!left.contains("Condition") && left.contains("Observation") && left.count == 145)
        #expect(try await fixture.decide(RegionalRequest(.searchType, type: condition))?.isPermitted == false)
        #expect(try await fixture.decide(RegionalRequest(.searchType, type: observation))?.isPermitted == true)
        try await fixture.write(try fixture.terms(.inactive), id: broad.id)
        #expect(try await types() == ["Observation"])
        try await fixture.write(try fixture.terms(.inactive, permits: false, types: [condition]), id: denial.id)
        #expect(try await types() == ["Condition", "Observation"])
        try await fixture.write(try fixture.terms(.inactive, types: [condition]), id: first.id)
        #expect(try await types() == ["Observation"])
        // A denial of another purpose or institution, a draft and one that is over take nothing away.
        try await fixture.write(try fixture.terms(permits: false, purposes: ["HRESCH"]))
        try await fixture.write(try fixture.terms(permits: false, grantees: [fixture.holder]))
        try await fixture.write(try fixture.terms(.draft, permits: false))
        try await fixture.write(
            try fixture.terms(permits: false, starts: 0, ends: SharingFixture.now() - SharingFixture.hour))
        #expect(try await types() == ["Observation"])
        // One of everybody for everything closes all but one's own.
        try await fixture.write(try fixture.terms(permits: false, grantees: [], purposes: []))
        #expect(try await types() == [])
        #expect(try await fixture.decide(institution: fixture.holder)?.permits.map(\.reason) == [.ownRecord])
        let log = try await fixture.sharing.accessLog(
            of: fixture.patient, before: nil, limit: 50, query: "", by: SharingFixture.asker(fixture.bureau))
        let denied = try #require(log.first { $0.crossing.reason == "denied" })
        #expect(denied.crossing.consents.contains("\(second.id)/_history/1") && denied.crossing.consents.count == 2)
    }

    @Test func `a tenant that is made again has no part in consents for its predecessor`() async throws {
        let fixture = try await SharingFixture()
        let consent = try await fixture.write(try fixture.terms())
        #expect(try await fixture.decide()?.isPermitted == true)
        #expect(try await fixture.decide(life: 2)?.isPermitted == false)
        // Consents of before name no database: they are for whoever was there when they were recorded.
        let pool = try await TestRegion.shared.superuser(cluster: "control", database: "region")
        _ = try await pool.query(
            PostgresStatement("update region.consent set grantee_databases = null where id = $1"),
            [.uuid(consent.id.text)])
        #expect(try await fixture.decide(life: 2)?.isPermitted == true)
        _ = try await pool.query(
            PostgresStatement("update region.consent set recorded_at = '2025-12-31' where id = $1"),
            [.uuid(consent.id.text)])
        #expect(try await fixture.decide(life: 2)?.isPermitted == false)
    }

    @Test func `a record is one of the database that its link came from, though the tenant is made again`() async throws
    {
        let fixture = try await SharingFixture()
        try await fixture.write(try fixture.terms())
        // The tenant is made again, and its former sources are not forgotten yet.
        #expect(try await !fixture.index.begin("h1", life: 2, token: 2))
        #expect(try await fixture.decide()?.permits.map(\.database) == [SharingFixture.database(fixture.holder)])
        #expect(try await fixture.decide(institution: fixture.holder)?.permits.map(\.reason) == [.ownRecord])
        #expect(try await fixture.decide(institution: fixture.holder, life: 2)?.isPermitted == false)
        try await fixture.index.forget("h1")
        #expect(try await fixture.index.begin("h1", life: 2, token: 2))
        try await fixture.index.state("h1", "p1", ["id"], life: 2, token: 2)
        let found = try await fixture.sharing.lookUp(
            system: "urn:test:id", value: fixture.index.identifier("id"), query: "",
            by: SharingFixture.asker(fixture.reader))
        let anew = try await fixture.sharing.decide(
            on: .patient(try #require(found)), for: SharingFixture.everything,
            by: SharingFixture.asker(fixture.holder, life: 2))
        #expect(anew?.permits.map(\.reason) == [.ownRecord])
        #expect(anew?.permits.map(\.database) == [SharingFixture.database(fixture.holder, 2)])
    }

    @Test func `a record is named by an alias that stays, and decided through it`() async throws {
        let fixture = try await SharingFixture(records: ["p1", "p2"])
        try await fixture.write(try fixture.terms())
        let outcome = try #require(try await fixture.decide())
        #expect(Set(outcome.permits.map(\.alias)).count == 2)
        #expect(try await fixture.decide()?.permits.map(\.alias) == outcome.permits.map(\.alias))
        let first = try #require(outcome.permits.first)
        let one = try await fixture.sharing.decide(
            on: .record(first.alias), for: RegionalRequest(.read), by: SharingFixture.asker(fixture.reader))
        #expect(one?.permits.map(\.patientID) == [first.patientID])
        let unknown = try #require(RecordAlias("00000000"))
        let nothing = try await fixture.sharing.decide(
            on: .record(unknown), for: RegionalRequest(.read), by: SharingFixture.asker(fixture.reader))
        #expect(nothing == nil)
    }

    @Test func `a crossing without practitioner or purpose is refused by the database too`() async throws {
        let fixture = try await SharingFixture()
        for asker in [
            SharingFixture.asker(fixture.reader, practitioner: nil), SharingFixture.asker(fixture.reader, purpose: nil),
        ] {
            await #expect {
                try await fixture.sharing.decide(on: .patient(fixture.patient), for: .init(.read), by: asker)
            } throws: { ($0 as? RegionalRecordError)?.code == .denied }
        }
    }

    @Test func `each request is in the patient's log, the refused ones too`() async throws {
        let fixture = try await SharingFixture()
        _ = try await fixture.decide()
        let consent = try await fixture.write(try fixture.terms())
        _ = try await fixture.decide()
        try await fixture.sharing.recordRefusal(
            RegionalRequest(.read, type: ResourceType.named("Patient")), about: .patient(fixture.patient),
            reason: "insufficient-scope", by: SharingFixture.asker(fixture.reader))
        let log = try await fixture.sharing.accessLog(
            of: fixture.patient, before: nil, limit: 50, query: "", by: SharingFixture.asker(fixture.bureau))
        let told = log.reversed().map { "\($0.event.action) \($0.event.outcome) \($0.crossing.reason ?? "-")" }
        #expect(
            told == ["E 0 -", "E 4 no-consent", "C 0 -", "E 0 consent", "R 4 insufficient-scope"])
        let permitted = try #require(log.first { $0.crossing.reason == "consent" })
        #expect(permitted.crossing.holders == [fixture.holder.rawValue])
        #expect(permitted.crossing.institution == fixture.reader.rawValue)
        #expect(permitted.crossing.consents == ["\(consent.id)/_history/1"])
        #expect(permitted.event.practitioner == "Practitioner/2" && permitted.event.purpose == "TREAT")
        let page = try await fixture.sharing.accessLog(
            of: fixture.patient, before: log[1].event.sequence, limit: 1, query: "",
            by: SharingFixture.asker(fixture.bureau))
        #expect(page.map(\.event.sequence) == [log[2].event.sequence, log[3].event.sequence])
    }

    @Test func `a refused request for one record is in the log of the patient whose record it is`() async throws {
        let fixture = try await SharingFixture()
        try await fixture.write(try fixture.terms())
        let alias = try #require(try await fixture.decide()?.permits.first?.alias)
        let unknown = try #require(RecordAlias("00000000"))
        let reader = SharingFixture.asker(fixture.reader, purpose: nil)
        for name in [alias, unknown] {
            try await fixture.sharing.recordRefusal(
                RegionalRequest(.read, type: ResourceType.named("Observation"), resourceID: name.text + ".5"),
                about: .record(name), reason: "purpose-required", by: reader)
        }
        let log = try await fixture.sharing.accessLog(
            of: fixture.patient, before: nil, limit: 50, query: "", by: SharingFixture.asker(fixture.bureau))
        #expect(log.first?.event.patient == fixture.patient.text)
        #expect(log.filter { $0.crossing.reason == "purpose-required" }.map(\.event.resourceID) == [alias.text + ".5"])
    }

    @Test func `a refused request is in the log of whom it names by a consent or an identifier`() async throws {
        let fixture = try await SharingFixture()
        let consent = try await fixture.write(try fixture.terms())
        let unknown = try #require(RegionID(ResourceID.make()))
        let identifier = fixture.index.identifier("id")
        let mentions: [SharingDatabase.Mention] = [
            .consent(consent.id), .consent(unknown), .identifier(system: "urn:test:id", value: identifier),
            .identifier(system: "urn:test:id", value: identifier + "0"), .identifier(system: "", value: identifier),
        ]
        for (number, mention) in mentions.enumerated() {
            try await fixture.sharing.recordRefusal(
                RegionalRequest(.read, resourceID: "\(number)"), about: mention, reason: "bureau-required",
                by: SharingFixture.asker(fixture.reader))
        }
        let log = try await fixture.sharing.accessLog(
            of: fixture.patient, before: nil, limit: 50, query: "", by: SharingFixture.asker(fixture.bureau))
        #expect(log.filter { $0.crossing.reason == "bureau-required" }.map(\.event.resourceID) == ["2", "0"])
    }

    @Test func `a list of consents is in the log of each patient whose consent it shows`() async throws {
        let fixture = try await SharingFixture()
        let bureau = SharingFixture.asker(fixture.bureau)
        try await fixture.index.begin("h3")
        try await fixture.index.state("h3", "p9", ["nine"])
        let found = try await fixture.sharing.lookUp(
            system: "urn:test:id", value: fixture.index.identifier("nine"), query: "", by: bureau)
        let other = try #require(found)
        for patient in [fixture.patient, other, other] { try await fixture.write(try fixture.terms(of: patient)) }
        let lists = { (patient: RegionID) in
            let log = try await fixture.sharing.accessLog(of: patient, before: nil, limit: 50, query: "", by: bureau)
            return log.filter { $0.event.type == .named("Consent") && $0.event.action == "E" }.compactMap(\.event.query)
        }
        let search = { ConsentSearch(patient: nil, status: nil, before: nil, limit: $0) }
        // The page shows two; that there is a third is no showing.
        #expect(try await fixture.sharing.consents(search(2), query: "two", by: bureau).count == 3)
        #expect(try await fixture.sharing.consents(search(3), query: "all", by: bureau).count == 3)
        #expect(try await fixture.sharing.count(search(0), query: "none", by: bureau) == 3)
        #expect(try await lists(other) == ["all", "two"])
        #expect(try await lists(fixture.patient) == ["all"])
    }

    @Test func `no decision that begins after a revocation was answered permits anything`() async throws {
        let fixture = try await SharingFixture()
        let active = try await fixture.write(try fixture.terms())
        let revocation = Revocation()
        let (late, early) = try await withThrowingTaskGroup(of: (late: Int, early: Int).self) { group in
            for _ in 0..<100 {
                group.addTask {
                    var (late, early) = (0, 0)
                    while true {
                        let begun = ContinuousClock.now
                        let isPermitted = try await fixture.decide()?.isPermitted ?? false
                        let revoked = revocation.at.withLock { $0 }
                        if isPermitted { if let revoked, begun > revoked { late += 1 } else { early += 1 } }
                        if let revoked, begun > revoked + .milliseconds(200) { return (late, early) }
                    }
                }
            }
            try await Task.sleep(for: .milliseconds(300))
            try await fixture.write(try fixture.terms(.inactive), id: active.id)
            let answered = ContinuousClock.now
            revocation.at.withLock { $0 = answered }
            var sum = (late: 0, early: 0)
            for try await counts in group { sum = (sum.late + counts.late, sum.early + counts.early) }
            return sum
        }
        #expect(late == 0)
        #expect(early > 0)
    }

    @Test func `rows of the log and of decisions cannot be changed by their owner's functions`() async throws {
        _ = try await SharingFixture()
        let pool = try await TestRegion.shared.superuser(cluster: "control", database: "region")
        for table in ["audit_event", "sharing_decision", "consent_version"] {
            let changed = try await pool.withTransaction { connection in
                try await connection.execute("set local role medcloud_owner; set local region.acting = 'region'")
                return try await connection.query(
                    PostgresStatement(
                        "with gone as (delete from region.\(table) returning 1) select count(*) from gone"))[0]
                    .int8(0)
            }
            #expect(changed == 0, "\(table)")
        }
        let open = try await pool.query(
            PostgresStatement(
                """
                select relname from pg_class
                where relnamespace = 'region'::regnamespace and relkind in ('r', 'p')
                  and relname not in ('patient', 'patient_identifier') and not (relrowsecurity and relforcerowsecurity)
                """))
        #expect(try open.map { try $0.string(0) } == [])
        let loose = try await pool.query(
            PostgresStatement(
                """
                select p.proname from pg_proc p
                where p.pronamespace = 'region'::regnamespace
                  and (p.proowner <> 'medcloud_owner'::regrole
                       or not coalesce(p.proconfig, '{}') @> array['search_path=pg_catalog, pg_temp']
                       or p.proacl is null or exists (select from aclexplode(p.proacl) where grantee = 0))
                """))
        #expect(try loose.map { try $0.string(0) } == [])
        await pool.shutdown()
    }
}
