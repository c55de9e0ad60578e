import StrictJSON
import Testing

@testable import ClinicalData

struct SearchResultTests {
    private static let name =
        ",\"active\":true,\"name\":[{\"family\":\"Å\\u00e9\"}],\"text\":{\"status\":\"empty\"},\"birthDate\":\"1980\",\"_birthDate\":{\"id\":\"x\"},\"multipleBirthInteger\":1.0"

    private static func with(_ body: @escaping @Sendable (SearchFixture) async throws -> Void) async throws {
        try await SearchFixture.with { fixture in
            try await fixture.add("Organization", "o1", [.reference("partof", "Organization/o2")])
            try await fixture.add("Organization", "o2", [.reference("partof", "Organization/o3")])
            try await fixture.add("Organization", "o3")
            try await fixture.add(
                "Patient", "p1",
                [.reference("organization", "Organization/o1"), .reference("general-practitioner", "Practitioner/d1")],
                content: Self.name, meta: "\"tag\":[{\"code\":\"t\"}]")
            try await fixture.add("Practitioner", "d1")
            for number in 1...3 {
                try await fixture.add(
                    "Observation", "b\(number)",
                    [
                        .reference("subject", "Patient/p1"), .reference("patient", "Patient/p1"),
                        .reference("performer", "Practitioner/gone"),
                    ],
                    content:
                        ",\"status\":\"final\",\"code\":{\"text\":\"x\"},\"valueString\":\"v\",\"component\":[{\"code\":{\"text\":\"c\"},\"interpretation\":[]}]"
                )
            }
            try await fixture.add("Practitioner", "gone")
            try await fixture.delete("Practitioner", "gone")
            try await body(fixture)
        }
    }

    @Test func `stored bytes come back with version and time in meta`() async throws {
        try await Self.with { fixture in
            let bundle = try await fixture.bundle("Patient")
            let resource = try #require(bundle.root["entry"]?.elements.map { $0 }.first?["resource"])
            #expect(
                String(decoding: resource.rawBytes, as: UTF8.self)
                    == "{\"resourceType\":\"Patient\",\"id\":\"p1\",\"meta\":{\"versionId\":\"1\",\"lastUpdated\":\"2024-01-01T01:00:00.000Z\","
                    + "\"tag\":[{\"code\":\"t\"}]}" + Self.name + "}")
            #expect(
                bundle.root["entry"]?.elements.map { $0 }.first?["fullUrl"]?.string
                    == "https://h.example/fhir/Patient/p1")
        }
    }

    @Test(arguments: [
        ("_elements=birthDate", ["resourceType", "id", "meta", "birthDate", "_birthDate"]),
        ("_elements=multipleBirth", ["resourceType", "id", "meta", "multipleBirthInteger"]),
        (
            "_elements=-name,text",
            ["resourceType", "id", "meta", "active", "birthDate", "_birthDate", "multipleBirthInteger"]
        ),
        ("_summary=true", ["resourceType", "id", "meta", "active", "name", "birthDate", "_birthDate"]),
        ("_summary=text", ["resourceType", "id", "meta", "text"]),
        (
            "_summary=data",
            ["resourceType", "id", "meta", "active", "name", "birthDate", "_birthDate", "multipleBirthInteger"]
        ),
    ])
    func `parts of a resource carry the SUBSETTED tag`(query: String, keys: [String]) async throws {
        try await Self.with { fixture in
            let bundle = try await fixture.bundle("Patient?" + query)
            let resource = try #require(bundle.root["entry"]?.elements.map { $0 }.first?["resource"])
            #expect(resource.members.map(\.key) == keys)
            let tags = resource["meta"]?["tag"]?.elements.compactMap { $0["code"]?.string }
            #expect(tags == ["t", "SUBSETTED"])
            #expect(resource["meta"]?["versionId"]?.stringIs("1") == true)
        }
    }

    @Test func `mandatory elements stay, and a summary goes into backbone elements`() async throws {
        try await Self.with { fixture in
            var resource = try #require(
                try await fixture.bundle("Observation?_elements=value&_id=b1").root["entry"]?.elements.map { $0 }
                    .first?["resource"])
            #expect(resource.members.map(\.key) == ["resourceType", "id", "meta", "status", "code", "valueString"])
            resource = try #require(
                try await fixture.bundle("Observation?_summary=true&_id=b1").root["entry"]?.elements.map { $0 }.first?[
                    "resource"])
            #expect(resource["component"]?.elements.map { $0 }.first?.members.map(\.key) == ["code"])
        }
    }

    @Test func `includes follow references both ways, once each, and never to what is deleted`() async throws {
        try await Self.with { fixture in
            for (url, matches, included) in [
                ("Observation?_include=Observation:subject&_include=Observation:patient", ["b1", "b2", "b3"], ["p1"]),
                ("Observation?_id=b1&_include=*", ["b1"], ["p1"]),
                ("Observation?_id=b1&_include=Observation:*", ["b1"], ["p1"]),
                ("Observation?_id=b1&_include=Observation:subject:Group", ["b1"], []),
                ("Patient?_include=Patient:organization&_include=Patient:general-practitioner", ["p1"], ["o1", "d1"]),
                (
                    "Patient?_revinclude=Observation:patient&_revinclude=Observation:subject", ["p1"],
                    ["b1", "b2", "b3"]
                ),
                (
                    "Patient?_include=Patient:organization&_include:iterate=Organization:partof", ["p1"],
                    ["o1", "o2", "o3"]
                ),
                (
                    "Observation?_id=b1&_include=Observation:subject&_include:iterate=Patient:organization", ["b1"],
                    ["p1", "o1"]
                ),
                ("Organization?_id=o1,o2&_include=Organization:partof", ["o1", "o2"], ["o3"]),
                ("Organization?_id=o3&_revinclude:iterate=Organization:partof", ["o3"], ["o2", "o1"]),
            ] {
                let bundle = try await fixture.bundle(url)
                #expect(SearchFixture.ids(bundle) == matches, "\(url)")
                #expect(SearchFixture.ids(bundle, mode: "include") == included, "\(url)")
            }
        }
    }

    @Test func `includes keep to the types that the caller may see`() async throws {
        try await Self.with { fixture in
            let bundle = try await fixture.bundle("Patient?_include=*", allowing: ["Patient", "Practitioner"])
            #expect(SearchFixture.ids(bundle, mode: "include") == ["d1"])
        }
    }

    @Test func `included rows are capped, and the bundle says so`() async throws {
        try await Self.with { fixture in
            try await fixture.fill(observations: 1200)
            let bundle = try await fixture.bundle("Patient?_revinclude=Observation:patient")
            #expect(SearchFixture.ids(bundle, mode: "include").count == SearchRules.maximumIncluded)
            #expect(bundle.root["entry"]?.elements.map { $0 }.last?["search"]?["mode"]?.stringIs("outcome") == true)
        }
    }
}
