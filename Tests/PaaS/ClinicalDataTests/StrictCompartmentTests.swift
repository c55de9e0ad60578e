import PostgresDriver
import StrictJSON
import Testing

@testable import ClinicalData

/// Whom a resource is about, in searches and of single versions: what names a patient beside others is not about that patient.
struct StrictCompartmentTests {
    private static func search(
        _ type: String?, _ parameters: [(name: String, value: String)] = [], in fixture: SearchFixture
    ) async throws -> Set<String> {
        let patient = try required(ResourceType.named("Patient"))
        let request = SearchRequest(
            type: type.flatMap(ResourceType.named),
            compartment: SearchRequest.Compartment(type: patient, id: "a", isStrict: true), parameters: parameters,
            baseURL: SearchFixture.base)
        let plan = try fixture.engine.plan(request) { _ in true }
        return try await fixture.pool.withTransaction(readOnly: true) { connection in
            Set(try await fixture.engine.page(plan, on: connection, tenant: fixture.tenant).matches.map(\.id))
        }
    }

    @Test func `a strict compartment has what is about the patient, not what names the patient beside others`()
        async throws
    {
        try await SearchFixture.with { fixture in
            try await fixture.add("Patient", "a")
            try await fixture.add("Patient", "b", [.reference("link", "Patient/a")])
            try await fixture.add(
                "Group", "g", [.reference("member", "Patient/a"), .reference("member", "Patient/b")])
            try await fixture.add("Schedule", "s", [.reference("actor", "Patient/a")])
            try await fixture.add(
                "Condition", "c1", [.reference("subject", "Patient/a"), .reference("patient", "Patient/a")])
            try await fixture.add(
                "Condition", "c2",
                [
                    .reference("subject", "Patient/b"), .reference("patient", "Patient/b"),
                    .reference("asserter", "Patient/a"),
                ])
            try await fixture.add(
                "Coverage", "v", [.reference("beneficiary", "Patient/b"), .reference("policy-holder", "Patient/a")])
            #expect(try await Self.search(nil, in: fixture) == ["a", "c1"])
            #expect(try await Self.search("Patient", in: fixture) == ["a"])
            #expect(try await Self.search("Patient", [("_id", "b")], in: fixture) == [])
            #expect(try await Self.search("Condition", in: fixture) == ["c1"])
            for type in ["Group", "Schedule"] {
                await #expect(throws: SearchError.self) { try await Self.search(type, in: fixture) }
                await #expect(throws: SearchError.self) { try await Self.search(nil, [("_type", type)], in: fixture) }
            }
            // The standard's compartment has them.
            try await fixture.expect("Patient/a/Group", "g")
            try await fixture.expect("Patient/a/Schedule", "s")
        }
    }

    @Test func `of the patient compartment all types are about patients but groups and schedules`() throws {
        let compartment = try #require(Definitions.r4.compartment("Patient"))
        let others = Definitions.r4.types.filter {
            !compartment.parameters(for: $0).isEmpty && !Definitions.r4.isAboutPatients($0)
        }
        #expect(others.map(\.name) == ["Group", "Schedule"])
        for name in ["Organization", "Practitioner", "Device", "Task"] {
            #expect(!Definitions.r4.isAboutPatients(try #require(ResourceType.named(name))), "\(name)")
        }
    }

    private static let resources: [(json: String, about: [String])] = [
        (#"{"resourceType":"Patient","id":"a","link":[{"other":{"reference":"Patient/b"}}]}"#, ["a"]),
        (
            #"{"resourceType":"Condition","subject":{"reference":"Patient/b"},"asserter":{"reference":"Patient/a"}}"#,
            ["b"]
        ),
        (
            #"{"resourceType":"Coverage","policyHolder":{"reference":"Patient/a"},"beneficiary":{"reference":"Patient/b"}}"#,
            ["b"]
        ),
        (
            #"""
            {"resourceType":"Appointment","participant":[{"actor":{"reference":"Patient/a"}},
             {"actor":{"reference":"http://own/fhir/Patient/b"}},{"actor":{"reference":"Location/c"}}]}
            """#, ["a", "b"]
        ),
        (#"{"resourceType":"Group","member":[{"entity":{"reference":"Patient/a"}}]}"#, []),
        (#"{"resourceType":"Observation","subject":{"reference":"Group/a"}}"#, []),
    ]

    @Test(arguments: resources.indices)
    func `one version is about whom a strict search would find it for`(_ index: Int) throws {
        let (json, about) = Self.resources[index]
        let document = try JSONDocument(Array(json.utf8))
        let type = try #require(document.root["resourceType"]?.string.flatMap(ResourceType.named))
        let found = ["a", "b", "c"].filter {
            Definitions.r4.isAbout(patient: $0, document: document, type: type, baseURL: "http://own/fhir")
        }
        #expect(found == about)
    }
}
