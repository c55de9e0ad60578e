import ClinicalData
import CloudModel
import RegionalRecord
import StrictJSON
import Testing

@Suite struct ConsentTests {
    @Test func `versions are kept, and only what may follow follows`() async throws {
        let fixture = try await SharingFixture()
        let draft = try await fixture.write(try fixture.terms(.draft))
        try await fixture.write(try fixture.terms(.active), id: draft.id, expected: 1)
        await #expect { try await fixture.write(try fixture.terms(.draft), id: draft.id) } throws: {
            ($0 as? RegionalRecordError)?.code == .illegalTransition
                && ($0 as? RegionalRecordError)?.detail == "active,draft"
        }
        await #expect { try await fixture.write(try fixture.terms(.inactive), id: draft.id, expected: 1) } throws: {
            ($0 as? RegionalRecordError)?.code == .versionConflict && ($0 as? RegionalRecordError)?.detail == "2"
        }
        try await fixture.write(try fixture.terms(.inactive), id: draft.id)
        await #expect { try await fixture.write(try fixture.terms(.active), id: draft.id) } throws: {
            ($0 as? RegionalRecordError)?.code == .illegalTransition
        }
        let versions = try await fixture.sharing.versions(
            of: draft.id, version: nil, by: SharingFixture.asker(fixture.bureau))
        #expect(versions.map(\.version) == [3, 2, 1])
        #expect(versions.map(\.method) == [.update, .update, .create])
    }

    @Test func `nobody else finds or changes a consent`() async throws {
        let fixture = try await SharingFixture()
        let consent = try await fixture.write(try fixture.terms())
        let other = SharingFixture.asker(fixture.reader)
        #expect(try await fixture.sharing.consent(consent.id, by: other) == nil)
        #expect(try await fixture.sharing.versions(of: consent.id, version: 1, by: other).isEmpty)
        let search = ConsentSearch(patient: fixture.patient, status: nil, before: nil, limit: 10)
        #expect(try await fixture.sharing.consents(search, query: "", by: other).isEmpty)
        await #expect {
            try await fixture.write(
                try fixture.terms(.inactive), id: consent.id, by: TenantID(fixture.index.tenant("x")))
        } throws: {
            ($0 as? RegionalRecordError)?.code == .unknownConsent
        }
        let own = SharingFixture.asker(fixture.bureau)
        #expect(try await fixture.sharing.consents(search, query: "", by: own).map(\.id) == [consent.id])
    }

    @Test func `a consent is found and closed under the id that its patient was merged into`() async throws {
        let fixture = try await SharingFixture()
        try await fixture.index.state("h1", "p9", ["nine"])
        let before = try await fixture.sharing.lookUp(
            system: "urn:test:id", value: fixture.index.identifier("nine"), query: "",
            by: SharingFixture.asker(fixture.reader))
        let former = try #require(before)
        let consent = try await fixture.write(try fixture.terms(of: former))
        #expect(try await fixture.decide()?.isPermitted == false)
        try await fixture.index.state("h1", "p9", ["nine", "id"], version: 2)
        #expect(try await fixture.decide()?.isPermitted == true)
        let bureau = SharingFixture.asker(fixture.bureau)
        for patient in [fixture.patient, former] {
            let search = ConsentSearch(patient: patient, status: .active, before: nil, limit: 10)
            #expect(try await fixture.sharing.consents(search, query: "", by: bureau).map(\.id) == [consent.id])
        }
        try await fixture.write(try fixture.terms(.inactive, of: former), id: consent.id)
        #expect(try await fixture.decide()?.isPermitted == false)
        // No new consent under an id that is no patient's any more.
        await #expect { try await fixture.write(try fixture.terms(of: former)) } throws: {
            ($0 as? RegionalRecordError)?.code == .unknownPatient
        }
    }

    @Test func `a consent stays with its patient when a merge turns out to be a mistake`() async throws {
        let fixture = try await SharingFixture()
        let bureau = SharingFixture.asker(fixture.bureau)
        try await fixture.index.begin("h3")
        try await fixture.index.state("h3", "p9", ["nine"])
        let found = try await fixture.sharing.lookUp(
            system: "urn:test:id", value: fixture.index.identifier("nine"), query: "",
            by: SharingFixture.asker(fixture.reader))
        let other = try #require(found)
        let permission = try await fixture.write(try fixture.terms())
        let denial = try await fixture.write(try fixture.terms(permits: false, purposes: ["HRESCH"]))
        try await fixture.index.state("h1", "p1", ["id", "nine"], version: 2)
        #expect(try await fixture.decide()?.permits.map(\.patientID) == ["p1", "p9"])
        try await fixture.index.state("h1", "p1", ["id"], version: 3)

        let ofOther = try #require(
            try await fixture.sharing.decide(
                on: .patient(other), for: SharingFixture.everything, by: SharingFixture.asker(fixture.reader)))
        #expect(!ofOther.isPermitted && ofOther.patient == other)
        let own = try #require(try await fixture.decide())
        #expect(own.permits.map(\.patientID) == ["p1"] && own.patient == fixture.patient)
        for (patient, consents) in [(other, []), (fixture.patient, [denial.id, permission.id])] {
            let search = ConsentSearch(patient: patient, status: .active, before: nil, limit: 10)
            #expect(try await fixture.sharing.consents(search, query: "", by: bureau).map(\.id) == consents)
            let log = try await fixture.sharing.accessLog(of: patient, before: nil, limit: 50, query: "", by: bureau)
            #expect(log.filter { $0.event.action == "C" }.count == consents.count)
        }
    }

    // MARK: The profile

    private static let good = """
        {"resourceType":"Consent","status":"active","patient":{"reference":"Patient/00000000-0000-4000-8000-000000000001"},
        "scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
        "provision":{"type":"permit","period":{"start":"2026-01-01","end":"2027-01-01"},
        "actor":[{"role":{"coding":[{"code":"IRCP"}]},"reference":{"reference":"Organization/h2"}}],
        "purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"TREAT"}]}}
        """

    private static func read(_ text: String, days: CivilDays = .utc) throws -> ConsentTerms {
        try ConsentTerms(
            try JSONDocument(Array(text.utf8)).root, recorder: try #require(TenantID("bureau")), definitions: .r4,
            days: days, now: 1_790_000_000_000_000)
    }

    @Test func `a consent is read as its terms`() throws {
        let terms = try Self.read(Self.good)
        #expect(terms.grantees.map(\.rawValue) == ["h2"] && terms.purposes == ["TREAT"] && terms.types == nil)
        #expect(FHIRInstant.text(terms.starts) == "2026-01-01T00:00:00.000Z")
        // A date stands for all of its day.
        #expect(FHIRInstant.text(terms.ends) == "2027-01-02T00:00:00.000Z")
        let byIdentifier = Self.good.replacing(
            #"{"reference":"Organization/h2"}"#, with: #"{"identifier":{"system":"urn:medcloud:tenant","value":"h3"}}"#)
        #expect(try Self.read(byIdentifier).grantees.map(\.rawValue) == ["h3"])
        let limited = Self.good.replacing(
            #""purpose":"#,
            with: #""class":[{"system":"http://hl7.org/fhir/resource-types","code":"Condition"}],"purpose":"#)
        #expect(try Self.read(limited).types?.map(\.name) == ["Condition"])
        // What is revoked may name what was shared once.
        let revoked = limited.replacing(#""status":"active""#, with: #""status":"inactive""#)
        #expect(try Self.read(revoked.replacing("Condition", with: "Group")).types?.map(\.name) == ["Group"])
    }

    @Test func `a date is a day where the consent is recorded`() async throws {
        let sharing = try await SharingFixture().sharing
        let cases = [
            ("UTC", "2026-01-01T00:00:00.000Z", "2027-01-02T00:00:00.000Z"),
            ("Asia/Shanghai", "2025-12-31T16:00:00.000Z", "2027-01-01T16:00:00.000Z"),
            ("America/New_York", "2026-01-01T05:00:00.000Z", "2027-01-02T05:00:00.000Z"),
        ]
        for (zone, starts, ends) in cases {
            let period = try JSONDocument(Array(Self.good.utf8)).root["provision"]?["period"]
            let terms = try Self.read(Self.good, days: try await sharing.days(of: period, in: zone))
            #expect([terms.starts, terms.ends].map { FHIRInstant.text($0) } == [starts, ends])
        }
        // Summer time begins between the two, and a time is what it says.
        let mixed = Self.good.replacing(#""2027-01-01""#, with: #""2027-07-01""#)
            .replacing(#""2026-01-01""#, with: #""2026-01-01T12:00:00Z""#)
        let period = try JSONDocument(Array(mixed.utf8)).root["provision"]?["period"]
        let terms = try Self.read(mixed, days: try await sharing.days(of: period, in: "Europe/Berlin"))
        #expect(FHIRInstant.text(terms.starts) == "2026-01-01T12:00:00.000Z")
        #expect(FHIRInstant.text(terms.ends) == "2027-07-01T22:00:00.000Z")
    }

    @Test func `a denial may be about everybody and everything, but not without end`() throws {
        let denial = Self.good.replacing(#""type":"permit""#, with: #""type":"deny""#)
        let terms = try Self.read(denial)
        #expect(!terms.permits && terms.grantees.map(\.rawValue) == ["h2"] && terms.purposes == ["TREAT"])
        let actors = try #require(denial.firstRange(of: #""actor""#))
        let general = try Self.read(String(denial[..<actors.lowerBound]) + #""action":[]}}"#)
        #expect(!general.permits && general.grantees.isEmpty && general.purposes.isEmpty && general.types == nil)
        #expect(throws: ConsentFindings.self) { try Self.read(denial.replacing(#","end":"2027-01-01""#, with: "")) }
    }

    @Test func `what permits nothing may name its recorder and who agrees`() async throws {
        for (place, with) in [
            (#""type":"permit""#, #""type":"deny""#), (#""status":"active""#, #""status":"inactive""#),
        ] {
            let text = Self.good.replacing(place, with: with).replacing("Organization/h2", with: "Organization/bureau")
                .replacing(#""scope""#, with: #""performer":[{"reference":"Organization/bureau"}],"scope""#)
            #expect(try Self.read(text).grantees.map(\.rawValue) == ["bureau"])
        }
        // Another institution may agree, such as a guardian.
        let guardian = Self.good.replacing(
            #""scope""#, with: #""performer":[{"reference":"Organization/h3"}],"scope""#)
        #expect(try Self.read(guardian).grantees.map(\.rawValue) == ["h2"])

        let fixture = try await SharingFixture()
        try await fixture.write(try fixture.terms())
        let denial = try await fixture.write(
            try fixture.terms(permits: false, grantees: [fixture.bureau, fixture.reader]))
        #expect(try await fixture.decide()?.isPermitted == false)
        try await fixture.write(try fixture.terms(.inactive, grantees: [fixture.bureau]), id: denial.id)
        #expect(try await fixture.decide()?.isPermitted == true)
    }

    @Test func `what is found is counted`() async throws {
        let fixture = try await SharingFixture()
        let bureau = SharingFixture.asker(fixture.bureau)
        for status in [ConsentTerms.Status.draft, .active, .active] {
            try await fixture.write(try fixture.terms(status))
        }
        let counts: [(ConsentTerms.Status?, Int64)] = [(nil, 3), (.active, 2), (.inactive, 0)]
        for (status, count) in counts {
            let search = ConsentSearch(patient: fixture.patient, status: status, before: nil, limit: 0)
            #expect(try await fixture.sharing.count(search, query: "", by: bureau) == count)
        }
        let log = try await fixture.sharing.accessLog(
            of: fixture.patient, before: nil, limit: 50, query: "", by: bureau)
        // The reading of the log is in it, too.
        #expect(
            try await fixture.sharing.accessLogCount(of: fixture.patient, query: "", by: bureau) == Int64(log.count + 1)
        )
    }

    @Test func `a repeated request writes once, whatever happened since`() async throws {
        let fixture = try await SharingFixture()
        let request = RepeatableRequest(operation: "POST", key: "key-1", digest: [1])
        let bureau = SharingFixture.asker(fixture.bureau)
        #expect(try await fixture.sharing.written(by: request, by: bureau) == nil)
        // Together: one writes, the others wait for it and get what it wrote.
        let made = try await withThrowingTaskGroup(of: RecordVersion.self) { group in
            for _ in 0..<8 {
                group.addTask { try await fixture.write(try fixture.terms(), request: request) }
            }
            return try await group.reduce(into: [RecordVersion]()) { $0.append($1) }
        }
        #expect(Set(made.map(\.id)).count == 1 && Set(made.map(\.recordedAt)).count == 1)
        let search = ConsentSearch(patient: fixture.patient, status: nil, before: nil, limit: 10)
        #expect(try await fixture.sharing.consents(search, query: "", by: bureau).count == 1)
        let id = try #require(made.first).id
        let revocation = RepeatableRequest(operation: "PUT \(id)", key: "key-1", digest: [1])
        let revoked = try await fixture.write(try fixture.terms(.inactive), id: id, request: revocation)
        let again = try await fixture.write(try fixture.terms(.inactive), id: id, request: revocation)
        #expect(revoked.version == 2 && again.version == 2)
        #expect(try await fixture.sharing.written(by: request, by: bureau)?.version == 1)
        await #expect {
            try await fixture.write(
                try fixture.terms(), request: RepeatableRequest(operation: "POST", key: "key-1", digest: [2]))
        } throws: {
            ($0 as? RegionalRecordError)?.code == .keyReused
        }
        // A request that was refused is none that was carried out.
        let draft = RepeatableRequest(operation: "POST", key: "key-2", digest: [3])
        await #expect(throws: RegionalRecordError.self) {
            try await fixture.write(try fixture.terms(.inactive), request: draft)
        }
        #expect(try await fixture.write(try fixture.terms(.draft), request: draft).version == 1)
    }

    private static let bad: [(what: String, with: String, place: String)] = [
        (#""end":"2027-01-01""#, #""end":"2026-02-01""#, "Consent.provision.period.end"),
        (#","end":"2027-01-01""#, "", "Consent.provision.period.end"),
        (#""start":"2026-01-01","#, "", "Consent.provision.period.start"),
        (#""period":{"start":"2026-01-01","end":"2027-01-01"},"#, "", "Consent.provision.period"),
        (#""start":"2026-01-01""#, #""start":"2028-01-01""#, "Consent.provision.period"),
        ("Organization/h2", "Organization/bureau", "Consent.provision.actor[0].reference"),
        ("Organization/h2", "Practitioner/h2", "Consent.provision.actor[0].reference"),
        ("Organization/h2", "Organization/H 2", "Consent.provision.actor[0].reference"),
        (#""code":"IRCP""#, #""code":"AUT""#, "Consent.provision.actor[0].role"),
        (#""code":"TREAT""#, #""code":"CURIOUS""#, "Consent.provision.purpose[0]"),
        ("v3-ActReason", "v3-ActCode", "Consent.provision.purpose[0]"),
        ("Patient/00000000-0000-4000-8000-000000000001", "Patient/p1", "Consent.patient"),
        ("Patient/0000", "http://x/t/h1/fhir/Patient/0000", "Consent.patient"),
        (#""type":"permit","#, "", "Consent.provision.type"),
        (
            #""status":"active""#, #""status":"active","policyRule":{"coding":[{"code":"OPTOUT"}]}"#,
            "Consent.policyRule"
        ),
        (#""type":"permit""#, #""type":"permit","provision":[{"type":"deny"}]"#, "Consent.provision.provision"),
        (#""type":"permit""#, #""type":"permit","securityLabel":[{"code":"R"}]"#, "Consent.provision.securityLabel"),
        (#""type":"permit""#, #""type":"permit","dataPeriod":{"start":"2020"}"#, "Consent.provision.dataPeriod"),
        (
            #""type":"permit""#, #""type":"permit","action":[{"coding":[{"code":"disclose"}]}]"#,
            "Consent.provision.action[0]"
        ),
        (
            #""type":"permit""#,
            #""type":"permit","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Practitioner"}]"#,
            "Consent.provision.class[0]"
        ),
        (
            // It has other patients too.
            #""type":"permit""#,
            #""type":"permit","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Group"}]"#,
            "Consent.provision.class[0]"
        ),
        ("patient-privacy", "research", "Consent.scope"),
        (#""status":"active""#, #""status":"rejected""#, "Consent.status"),
        (
            #""status":"active""#,
            #""status":"active","performer":[{"reference":"Patient/00000000-0000-4000-8000-000000000002"}]"#,
            "Consent.performer[0]"
        ),
        (
            #""status":"active""#,
            #""status":"active","performer":[{"reference":"http://x/Patient/00000000-0000-4000-8000-000000000001"}]"#,
            "Consent.performer[0]"
        ),
        (
            #""status":"active""#,
            #""status":"active","performer":[{"type":"Patient","identifier":{"value":"7"}}]"#, "Consent.performer[0]"
        ),
        (
            #""status":"active""#, #""status":"draft","performer":[{"reference":"Organization/h2"}]"#,
            "Consent.performer[0]"
        ),
        (
            #""status":"active""#,
            #""status":"active","performer":[{"reference":"http://x/fhir/Organization/h2/_history/1"}]"#,
            "Consent.performer[0]"
        ),
        (
            #""status":"active""#,
            #""status":"active","performer":[{"identifier":{"system":"urn:medcloud:tenant","value":"h2"}}]"#,
            "Consent.performer[0]"
        ),
    ]

    @Test(arguments: bad.indices)
    func `a consent that breaks a rule is refused where it does`(_ index: Int) throws {
        let (what, with, place) = Self.bad[index]
        #expect(Self.good.contains(what))
        do {
            _ = try Self.read(Self.good.replacing(what, with: with))
            Issue.record("accepted: \(with)")
        } catch let error as ConsentFindings {
            #expect(error.findings.map(\.place) == [place])
        }
    }
}
