import CloudIdentity
import Testing

@testable import ClinicalData

@Suite struct DefinitionsTests {
    let r4 = Definitions.r4

    @Test func `the 146 types have the codes of their alphabetical order`() {
        #expect(r4.types.map(\.code) == Array(1...146))
        #expect(r4.types.map(\.name) == r4.types.map(\.name).sorted())
        #expect(ResourceType.named("Account")?.code == 1)
        #expect(ResourceType.named("Patient")?.code == 103)
        #expect(ResourceType.named("VisionPrescription")?.code == 146)
        #expect(ResourceType[103]?.name == "Patient")
    }

    @Test func `a scope can name each of them and nothing else`() {
        #expect(ScopedTypes.names == Set(r4.types.map(\.name)))
    }

    @Test(arguments: ["patient", "Resource", "DomainResource", "Quantity", "", "Patient "])
    func `other names are not resource types`(_ name: String) {
        #expect(ResourceType.named(name) == nil)
    }

    @Test func `codes outside 1…146 are not resource types`() {
        #expect(ResourceType[0] == nil)
        #expect(ResourceType[147] == nil)
        #expect(ResourceType[-1] == nil)
    }

    @Test func `parameter ids follow the alphabetical order of type and code`() {
        let all = r4.types.flatMap { r4.parameters(of: $0) }
        #expect(all.map(\.id) == Array(1...Int32(all.count)))
        #expect(all.count == 2218)
        let keys = all.map { Array("\($0.type.name) \($0.code)".utf8) }
        #expect(zip(keys, keys.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) })
        #expect(
            all.allSatisfy { r4.parameter($0.type, $0.code)?.id == $0.id && r4.parameter(id: $0.id)?.code == $0.code })
    }

    @Test func `every type has the parameters of meta and none for the columns`() {
        for type in r4.types {
            for code in ["_tag", "_profile", "_security", "_source"] { #expect(r4.parameter(type, code) != nil) }
            for code in ["_id", "_lastUpdated", "_text", "nonsense", ""] { #expect(r4.parameter(type, code) == nil) }
        }
    }

    @Test func `a parameter tells kind, targets and definition`() throws {
        let observation = try #require(ResourceType.named("Observation"))
        let subject = try #require(r4.parameter(observation, "subject"))
        #expect(subject.kind == .reference)
        #expect(subject.targets.map(\.name) == ["Device", "Group", "Location", "Patient"])
        #expect(subject.url == "http://hl7.org/fhir/SearchParameter/Observation-subject")
        #expect(subject.expression == "Observation.subject")
        let quantity = try #require(r4.parameter(observation, "value-quantity"))
        #expect(quantity.kind == .quantity)
        #expect(quantity.targets.isEmpty)
        #expect(r4.parameter(observation, "code-value-quantity") == nil)
    }

    @Test func `compartments list parameters that exist`() throws {
        let patient = try #require(r4.compartment("Patient"))
        let observation = try #require(ResourceType.named("Observation"))
        #expect(patient.parameters(for: observation) == ["subject", "performer"])
        #expect(patient.parameters(for: try #require(ResourceType.named("Organization"))) == [])
        for name in ["Patient", "Encounter", "RelatedPerson", "Practitioner", "Device"] {
            let compartment = try #require(r4.compartment(name))
            for type in r4.types {
                for code in compartment.parameters(for: type) { #expect(r4.parameter(type, code)?.kind == .reference) }
            }
        }
        #expect(r4.compartment("example") == nil)
    }

    @Test func `elements know type, cardinality and summary`() throws {
        let observation = r4.elements(of: try #require(ResourceType.named("Observation")))
        let status = try #require(observation.first { $0.name == "status" })
        #expect(status.type == .primitive(.code))
        #expect(status.isRequired && !status.isArray && status.isSummary)
        let component = try #require(observation.first { $0.name == "component" })
        #expect(component.isArray && !component.isRequired)
        #expect(r4.elements(of: component.type).contains { $0.name == "valueSampledData" })
        let note = try #require(observation.first { $0.name == "note" })
        #expect(!note.isSummary)
    }

    @Test func `every key is found by its hash in its own type and in no other place`() {
        for type in r4.typeDefinitions {
            for index in type.elements {
                let element = r4.elements[index]
                #expect(r4.element(type, hash: element.hash, element.text.buffer) == index)
            }
            let unknown = StaticText("notAnElement")
            #expect(r4.element(type, hash: unknown.hash, unknown.buffer) == nil)
        }
    }
}
