import Testing

@testable import ClinicalData

struct SearchCapabilitiesTests {
    private let capabilities = SearchCapabilities(definitions: .r4)

    /// A value that each kind of parameter accepts.
    private static let values = [
        "token": "a", "string": "a", "date": "2024", "reference": "a", "quantity": "1", "number": "1", "uri": "urn:a",
    ]

    @Test func `everything declared is understood, with each modifier and prefix`() throws {
        for type in Definitions.r4.types {
            for parameter in capabilities.parameters(of: type) {
                let value = try #require(Self.values[parameter.type])
                _ = try plan("\(type.name)?\(parameter.name)=\(value)&_sort=\(parameter.name)")
                for modifier in parameter.modifiers {
                    let value = modifier == "missing" ? "true" : value
                    _ = try plan("\(type.name)?\(parameter.name):\(modifier)=\(value)")
                }
                for prefix in parameter.prefixes {
                    _ = try plan("\(type.name)?\(parameter.name)=\(prefix.rawValue)\(value)")
                }
                #expect(refusal("\(type.name)?\(parameter.name):nonsense=a") != nil)
            }
        }
    }

    @Test func `every declared include is understood`() throws {
        for type in Definitions.r4.types {
            for value in capabilities.includes(of: type) { _ = try plan("\(type.name)?_include=\(value)") }
        }
        let patient = try #require(ResourceType.named("Patient"))
        for value in capabilities.reverseIncludes(of: patient) { _ = try plan("Patient?_revinclude=\(value)") }
    }

    @Test func `every declared reference by canonical URL leads to a type that has one`() {
        let table = ParameterTable(definitions: .r4)
        for type in Definitions.r4.types {
            for parameter in table.references(of: type) where Definitions.r4.isCanonical(parameter.id) {
                let targets = parameter.targets.isEmpty ? Definitions.r4.types : parameter.targets
                #expect(table.canonical([parameter.id], to: targets) != nil, "\(type.name):\(parameter.code)")
            }
        }
    }

    @Test func `what all types share can be searched over the base`() throws {
        let names = capabilities.commonParameters().map(\.name)
        #expect(names == ["_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"])
        for name in names { _ = try plan("?\(name)=\(name == "_lastUpdated" ? "2024" : "a")") }
    }

    @Test func `a parameter that is not declared is refused on every type`() {
        for type in Definitions.r4.types { #expect(refusal("\(type.name)?definitely-not=1")?.code == .unknown) }
    }
}
