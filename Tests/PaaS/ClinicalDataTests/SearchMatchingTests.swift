import PostgresDriver
import StrictJSON
import Testing

@testable import ClinicalData

/// What each kind of parameter, modifier and prefix finds, against a real database.
struct SearchMatchingTests {
    private static let mg = "http://unitsofmeasure.org"

    private static func ward(_ body: @escaping @Sendable (SearchFixture) async throws -> Void) async throws {
        try await SearchFixture.with { fixture in
            try await fixture.add("Organization", "o1", [.string("name", "North Clinic")])
            let patients: [(String, String, String, String, String)] = [
                ("p1", "Åström", "Zoë", "1980-05-06", "female"), ("p2", "Astrom", "Bo", "1980-05", "male"),
                ("p3", "李", "𠀀雷", "1975", "male"), ("p4", "O'Neil, Jr", "Pat|rick", "1990-12-31", "other"),
            ]
            for (id, family, given, birth, gender) in patients {
                try await fixture.add(
                    "Patient", id,
                    [
                        .string("family", family), .string("name", family), .string("given", given),
                        .string("name", given),
                        .date("birthdate", birth),
                        .token("gender", system: "http://hl7.org/fhir/administrative-gender", gender),
                        .token("identifier", system: "urn:mrn", "m" + id.suffix(1)),
                        .reference("organization", "Organization/o1"),
                        .token("_tag", system: "urn:tag", id == "p1" ? "a" : "b"), .uri("_source", "urn:src#\(id)"),
                    ])
            }
            try await fixture.add(
                "Patient", "p5", [.token("identifier", "m5"), .identifier("organization", system: "urn:org", "77")])
            try await fixture.add("Patient", "p6", [.token("gender", "male")])
            try await fixture.delete("Patient", "p6")
            for number in 1...4 {
                try await fixture.add(
                    "Observation", "b\(number)",
                    [
                        .token("code", system: "http://loinc.org", number % 2 == 0 ? "even" : "odd"),
                        .string("code", "Heart rate \(number)"),
                        .reference("subject", "Patient/p\(number)"), .reference("patient", "Patient/p\(number)"),
                        .date("date", "2024-0\(number)-15T10:00:00+08:00"),
                        .quantity("value-quantity", "\(number)0.5", system: Self.mg, code: "mg", unit: "milligram"),
                    ])
            }
            try await fixture.add(
                "Observation", "b5",
                [.quantity("value-quantity", "7"), .reference("subject", "Group/g1"), .period("date", .min, 0)])
            try await fixture.add("ValueSet", "v1", [.uri("url", "http://x/v1")])
            try await fixture.add("QuestionnaireResponse", "q1", [.reference("questionnaire", "http://x/q|2")])
            try await fixture.add("RiskAssessment", "r1", [.quantity("probability", "0.50")])
            try await fixture.add("RiskAssessment", "r2", [.range("probability", "0.195", "0.405")])
            try await body(fixture)
        }
    }

    @Test func `strings match folded prefixes, exact text and parts`() async throws {
        try await Self.ward { fixture in
            for (query, expected) in [
                ("family=astrom", "p1 p2"), ("family=ÅSTR", "p1 p2"), ("family:exact=Astrom", "p2"),
                ("family:exact=astrom", ""),
                ("family:contains=STRO", "p1 p2"), ("name=李", "p3"), ("name=𠀀", "p3"), ("given:contains=雷", "p3"),
                ("family=O'Neil\\, Jr", "p4"), ("given=Pat\\|rick", "p4"), ("given=zoe,bo", "p1 p2"),
                ("family=astrom&given=bo", "p2"),
                ("family:missing=true", "p5"), ("family:missing=false", "p1 p2 p3 p4"), ("family=%", ""),
                ("family:contains=_", ""),
                ("family:contains=\\", ""), ("family=" + String(repeating: "a", count: 200), ""),
            ] { try await fixture.expect("Patient?" + query, expected) }
        }
    }

    @Test func `tokens match by code, system, both and not`() async throws {
        try await Self.ward { fixture in
            for (query, expected) in [
                ("gender=male", "p2 p3"), ("gender=male,other", "p2 p3 p4"), ("gender:not=male", "p1 p4 p5"),
                ("gender:not=male,female", "p4 p5"), ("identifier=urn:mrn|m3", "p3"), ("identifier=m3", "p3"),
                ("identifier=|m3", ""),
                ("identifier=|m5", "p5"), ("identifier=urn:mrn|", "p1 p2 p3 p4"),
                ("identifier=urn:mrn|m1,urn:mrn|m2,m5,urn:x|m3", "p1 p2 p5"),
                ("gender:missing=true", "p5"), ("gender=MALE", ""), ("_tag=urn:tag|a", "p1"),
                ("_tag:not=a", "p2 p3 p4 p5"),
                ("_source=urn:src%23p2".replacing("%23", with: "#"), "p2"), ("_id=p1,p3,p6,nope", "p1 p3"),
                ("_id=p1&_id=p3", ""),
            ] { try await fixture.expect("Patient?" + query, expected) }
            try await fixture.expect("Observation?code:text=HEART RATE 2", "b2")
            try await fixture.expect("Observation?code:missing=true", "b5")
        }
    }

    @Test func `dates compare ranges by every prefix`() async throws {
        try await Self.ward { fixture in
            for (query, expected) in [
                ("birthdate=1980", "p1 p2"), ("birthdate=1980-05", "p1 p2"), ("birthdate=1980-05-06", "p1"),
                ("birthdate=eq1975", "p3"),
                ("birthdate=ne1980", "p3 p4"), ("birthdate=gt1980", "p4"), ("birthdate=gt1980-05-06", "p2 p4"),
                ("birthdate=lt1980", "p3"),
                ("birthdate=lt1980-05-06", "p2 p3"), ("birthdate=ge1980", "p1 p2 p4"),
                ("birthdate=ge1980-05-07", "p2 p4"),
                ("birthdate=le1980-05-05", "p2 p3"), ("birthdate=le1980", "p1 p2 p3"), ("birthdate=sa1980", "p4"),
                ("birthdate=sa1980-05-06", "p4"), ("birthdate=eb1980", "p3"), ("birthdate=eb1980-05-07", "p1 p3"),
                ("birthdate=ap1980", "p1 p2"), ("birthdate=ap1980-05-20", "p2"),
                ("birthdate=ge1980&birthdate=lt1981", "p1 p2"),
                ("birthdate=lt1976,gt1990", "p3"),
                ("birthdate:missing=true", "p5"), ("_lastUpdated=gt2023&_lastUpdated=lt2024-01-01T02:30:00Z", "p1 p2"),
                ("_lastUpdated=2024-01-01T03:00:00Z", "p3"), ("_lastUpdated=ne2024", ""),
                ("_lastUpdated=sa2024,eb2024", ""),
            ] { try await fixture.expect("Patient?" + query, expected) }
            for (query, expected) in [
                ("date=2024-03-15T02:00:00Z", "b3"), ("date=2024-03", "b3"), ("date=2024-03-15T10:00:00 08:00", "b3"),
                ("date=lt1980", "b5"),
                ("date=eb1980", "b5"), ("date=gt2024-03-15", "b4"),
            ] { try await fixture.expect("Observation?" + query, expected) }
        }
    }

    @Test func `references match by id, type, version, URL and identifier`() async throws {
        try await Self.ward { fixture in
            for (query, expected) in [
                ("subject=Patient/p1", "b1"), ("subject=p1", "b1"), ("patient=p2,Patient/p3", "b2 b3"),
                ("subject:Patient=p2", "b2"),
                ("subject=Patient/p1/_history/4", "b1"), ("subject=https://h.example/fhir/Patient/p1", "b1"),
                ("subject=Group/g1", "b5"),
                ("subject=https://other.example/fhir/Patient/p1", ""), ("subject:Group=p1", ""),
                ("patient:missing=true", "b5"),
            ] { try await fixture.expect("Observation?" + query, expected) }
            try await fixture.expect("Patient?organization:identifier=urn:org|77", "p5")
            try await fixture.expect("Patient?organization:missing=true", "")
            for (value, expected) in [
                ("http://x/q", "q1"), ("http://x/q\\|2", "q1"), ("http://x/q\\|1", ""), ("http://x/", ""),
            ] {
                try await fixture.expect("QuestionnaireResponse?questionnaire=" + value, expected)
            }
        }
    }

    @Test func `numbers and quantities keep to significant digits and units`() async throws {
        try await Self.ward { fixture in
            for (query, expected) in [
                ("20.5", "b2"), ("21", "b2"), ("2e1", ""), ("2.1e1", "b2"), ("20.50", "b2"), ("20.4", ""),
                ("ne20.5", "b1 b3 b4 b5"), ("gt20.5", "b3 b4"),
                ("ge20.5", "b2 b3 b4"), ("lt20.5", "b1 b5"), ("le20.5", "b1 b2 b5"), ("sa20.5", "b3 b4"),
                ("eb20.5", "b1 b5"),
                ("ap20", "b2"), ("gt20.5||mg", "b3 b4"), ("lt20.5|\(Self.mg)|mg", "b1"), ("20.5||milligram", "b2"),
                ("20.5||g", ""),
                ("20.5|urn:x|mg", ""), ("gt1|\(Self.mg)|", "b1 b2 b3 b4"), ("7", "b5"), ("7.0", "b5"),
                ("20.5,30.5", "b2 b3"),
            ] {
                try await fixture.expect("Observation?value-quantity=" + query, expected)
            }
            for (query, expected) in [
                ("0.5", "r1"), ("0.500", "r1"), ("gt0.50", ""), ("ge0.50", "r1"), ("gt0.30", "r1 r2"), ("lt0.30", "r2"),
                ("lt0.20", ""),
                ("le0.20", "r2"), ("gt0.40", "r1"), ("sa0.30", "r1"), ("eb0.45", "r2"), ("ap0.42", "r2"),
            ] { try await fixture.expect("RiskAssessment?probability=" + query, expected) }
        }
    }

    @Test func `URIs match whole`() async throws {
        try await Self.ward { fixture in
            try await fixture.expect("ValueSet?url=http://x/v1,http://x/v2", "v1")
            try await fixture.expect("ValueSet?url=http://x/", "")
            try await fixture.expect("ValueSet?url:missing=true", "")
        }
    }

    @Test func `chains, has and compartments go one hop`() async throws {
        try await Self.ward { fixture in
            for (url, expected) in [
                ("Observation?patient.family=astrom", "b1 b2"), ("Observation?subject:Patient.birthdate=1975", "b3"),
                ("Observation?subject.identifier=m1", "b1"), ("Observation?subject:Patient._id=p2", "b2"),
                ("Observation?patient.gender:not=male", "b1 b4"),
                ("Observation?patient.gender:missing=false", "b1 b2 b3 b4"),
                ("Observation?patient.organization=o1&code=odd", "b1 b3"),
                ("Patient?organization.name=north", "p1 p2 p3 p4"),
                ("Patient?organization:Organization.name=south", ""),
                ("Observation?patient._lastUpdated=lt2024-01-01T01:30:00Z", "b1"),
                ("Patient?_has:Observation:patient:code=even", "p2 p4"),
                ("Patient?_has:Observation:subject:value-quantity=gt30", "p3 p4"),
                ("Patient?_has:Observation:patient:_id=b1", "p1"),
                ("Patient?_has:Observation:patient:code:missing=true", ""),
                ("Patient?_has:Observation:patient:code=even&gender=male", "p2"), ("Patient/p1/Observation", "b1"),
                ("Patient/p1/Observation?code=even", ""), ("Patient/p1/*", "p1 b1"), ("Patient/p1/Patient", "p1"),
                ("Patient/none/*", ""),
                ("?_type=Patient,Organization&_id=p1,o1", "o1 p1"), ("?_tag=a", "p1"),
                ("?_type=Observation,Patient&identifier=m1", "p1"),
            ] { try await fixture.expect(url, expected) }
        }
    }

    @Test func `totals are counted or known`() async throws {
        try await Self.ward { fixture in
            func expect(_ url: String, _ total: Int?) async throws {
                let found = try await fixture.bundle(url).root["total"]?.integer
                #expect(found == total, "\(url)")
            }
            try await expect("Patient", 5)
            try await expect("Patient?_count=2", nil)
            try await expect("Patient?_count=2&_total=accurate", 5)
            try await expect("Patient?_total=none", nil)
            try await expect("Patient?gender=male&_count=0&_totalMethod=count", 2)
            try await expect("Patient?gender:not=male&_summary=count", 3)
            try await expect("?_summary=count&_type=Patient,Observation", 10)
            let counted = try await fixture.bundle("Patient?_count=0")
            #expect(counted.root["entry"] == nil)
        }
    }

    @Test func `matches for conditional interactions are the same and bounded`() async throws {
        try await Self.ward { fixture in
            let plan = try plan("Patient?gender=male")
            let found = try await fixture.pool.withTransaction { connection in
                try await fixture.engine.matches(plan, on: connection, limit: 1)
            }
            #expect(found.map(\.id) == ["p2"])
            #expect(found.map(\.version) == [1])
        }
    }
}
