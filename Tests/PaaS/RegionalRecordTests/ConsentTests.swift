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

    // MARK: The profile

    private static let good = """
        {"resourceType":"Consent","status":"active","patient":{"reference":"Patient/00000000-0000-4000-8000-000000000001"},
        "scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
        "provision":{"type":"permit","period":{"start":"2026-01-01","end":"2027-01-01"},
        "actor":[{"role":{"coding":[{"code":"IRCP"}]},"reference":{"reference":"Organization/h2"}}],
        "purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"TREAT"}]}}
        """

    private static func read(_ text: String) throws -> ConsentTerms {
        try ConsentTerms(
            try JSONDocument(Array(text.utf8)).root, recorder: try #require(TenantID("bureau")), definitions: .r4,
            now: 1_790_000_000_000_000)
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
        (#""type":"permit""#, #""type":"deny""#, "Consent.provision.type"),
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
        ("patient-privacy", "research", "Consent.scope"),
        (#""status":"active""#, #""status":"rejected""#, "Consent.status"),
        (
            #""status":"active""#,
            #""status":"active","performer":[{"reference":"Patient/00000000-0000-4000-8000-000000000002"}]"#,
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
