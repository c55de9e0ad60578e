import Testing

@testable import ClinicalData

/// A plan for `Type?name=value&…` as a caller who may do everything, unless told otherwise.
func plan(
    _ url: String, handling: SearchRequest.Handling = .strict, allowing allowed: Set<String>? = nil,
    baseURL: String = "https://h.example/fhir"
) throws(SearchError) -> SearchPlan {
    let parts = url.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let path = parts[0].split(separator: "/").map(String.init)
    let pairs = parts.count > 1 && !parts[1].isEmpty ? parts[1].split(separator: "&").map(String.init) : []
    let parameters = pairs.map { pair in
        let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return (name: sides[0], value: sides.count > 1 ? sides[1] : "")
    }
    var request = SearchRequest(
        type: path.last.flatMap(ResourceType.named), parameters: parameters, handling: handling, baseURL: baseURL)
    if path.count == 3, let type = ResourceType.named(path[0]) {
        request.compartment = SearchRequest.Compartment(type: type, id: path[1])
    }
    let engine = SearchEngine(definitions: .r4, cursorKey: [UInt8](repeating: 1, count: 32))
    return try engine.plan(request) { allowed?.contains($0.name) ?? true }
}

/// The error that a search is refused with.
func refusal(_ url: String, allowing allowed: Set<String>? = nil) -> SearchError? {
    do throws(SearchError) {
        _ = try plan(url, allowing: allowed)
        return nil
    } catch { return error }
}

struct SearchPlannerTests {
    @Test(arguments: [
        "Patient?nme=x", "Patient?name:foo=x", "Patient?name:not=x", "Patient?gender:exact=male",
        "Patient?birthdate=xx1980",
        "Patient?birthdate=1980-13-01", "Patient?birthdate=", "Patient?name=a,,b", "Patient?_count=-1",
        "Patient?_count=99999999999999999999",
        "Patient?_count=x", "Patient?_count=1&_count=2", "Patient?_sort=nothing", "Patient?_sort=name,",
        "Patient?_total=maybe",
        "Patient?_summary=maybe", "Patient?_elements=nothing", "Patient?_format=xml", "Patient?_pretty=true",
        "Patient?active:missing=maybe", "Patient?_id=a_b", "Patient?_id:not=a", "Patient?identifier=a|b|c",
        "Patient?identifier=|", "Patient?_lastUpdated=yesterday", "Patient?name=\u{0}", "Patient?_type=Patient",
        "Observation?value-quantity=abc", "Observation?value-quantity=1|2|3|4", "Observation?value-quantity=1|2",
        "Observation?value-quantity=1||", "Observation?subject:Nothing=1", "Observation?subject:Organization=1",
        "Observation?subject=Organization/1", "Observation?subject=a/b/c", "Observation?subject:Patient.nothing=1",
        "Observation?subject.organization.name=x", "Observation?code.name=x", "Observation?subject.nothing=1",
        "Patient?_has:Observation:nothing:code=1", "Patient?_has:Observation:patient=1",
        "Patient?_has:Nothing:patient:code=1",
        "Patient?_has:Observation:code:code=1", "Organization?_has:Observation:patient:code=1",
        "Patient?_has:Observation:patient:_has:Provenance:target:agent=1", "Patient?_include=Patient",
        "Patient?_include=Nothing:subject", "Patient?_include=Patient:name",
        "Patient?_include:recurse=Patient:organization",
        "Patient?_revinclude=Observation:code", "Patient?_revinclude=*", "Organization?_revinclude=Observation:patient",
        "Patient?_summary=text&_include=Patient:organization", "?_type=Nothing", "?name=x",
        "?_type=Patient,Observation&name=x",
        "Patient?_contained=true", "Patient?_text=x", "Patient?name:missing=", "Medication/1/Patient",
        "Patient/1/Medication",
        "Patient?_cursor:x=a", "RiskAssessment?probability=gt0.x",
    ])
    func `what is not served is refused`(url: String) {
        #expect(refusal(url) != nil, "\(url)")
    }

    @Test(arguments: [
        "Patient", "Patient?", "Patient?name=a,b\\,c&name:exact=d&gender:not=male",
        "Patient?birthdate=ge1980&birthdate=lt1990-05",
        "Patient?_count=0&_totalMethod=count", "Patient?_format=json",
        "Patient?_format=application/fhir+json;fhirVersion=4.0",
        "Patient?_sort=-birthdate,_id&_elements=id,resourceType,name", "Patient?_elements=-name",
        "Observation?_elements=value",
        "Observation?subject=Patient/1&patient=1&patient=https://h.example/fhir/Patient/1/_history/2",
        "Observation?subject:identifier=urn:x|1", "Observation?subject:Patient=1", "Observation?patient.name:exact=x",
        "Observation?subject.name=x", "Observation?subject:Patient._id=1",
        "Observation?value-quantity=gt5.40|http://unitsofmeasure.org|mg",
        "Observation?value-quantity=5||mg", "Observation?value-quantity=-1e3", "RiskAssessment?probability=gt0.5",
        "ValueSet?url=http://x/y", "Patient?_has:Observation:patient:code=x",
        "Patient?_has:Observation:subject:value-quantity:missing=false",
        "Patient?_tag=a|b&_profile=http://p&_security=x&_source=urn:x&_lastUpdated=gt2019&_id=a,b",
        "Observation?code:text=x",
        "Observation?_include=*", "Observation?_include=Observation:*&_include:iterate=Patient:organization",
        "Patient?_revinclude=Observation:patient&_revinclude:iterate=Provenance:target",
        "?_type=Patient,Encounter&_id=1",
        "?_lastUpdated=gt2020&_tag=x", "Patient/1/Observation?code=x", "Patient/1/*",
        "Patient?_total=estimate&_summary=data&_pretty=false&_contained=false",
    ])
    func `what is served is understood`(url: String) throws {
        _ = try plan(url)
    }

    @Test func `a refusal names the parameter and what would be valid`() throws {
        let unknown = try #require(refusal("Patient?famly=x"))
        #expect(unknown.code == .unknown)
        #expect(unknown.parameter == "famly")
        #expect(unknown.validNames.contains("family") && unknown.validNames.contains("_id"))
        #expect(unknown.diagnostics.contains("famly") && unknown.diagnostics.contains("birthdate"))
        let modifier = try #require(refusal("Patient?name:not=x"))
        #expect(modifier.validNames == [":contains", ":exact", ":missing"])
        let prefix = try #require(refusal("Patient?birthdate=zz1980"))
        #expect(prefix.validNames == ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
    }

    @Test func `lenient handling leaves a parameter out of the query and keeps the reason`() throws {
        let plan = try plan("Patient?famly=x&gender=female&_sort=nothing", handling: .lenient)
        #expect(plan.query == "gender=female")
        #expect(plan.warnings.map(\.parameter) == ["famly", "_sort"])
        #expect(plan.filters.count == 1)
    }

    @Test(arguments: [
        "Observation?subject:Patient.name=x", "Observation?patient.name=x", "Patient?_has:Observation:patient:code=x",
        "Observation?_include=Observation:subject:Patient",
        "Patient?_revinclude=Observation:patient", "?_type=Patient",
    ])
    func `no type that the caller may not see is touched`(url: String) {
        let seen: Set<String> = url.hasPrefix("Patient") ? ["Patient"] : ["Observation"]
        #expect(refusal(url, allowing: seen)?.code == .forbidden)
    }

    @Test func `a forbidden type is refused under lenient handling too`() {
        #expect(throws: SearchError.self) {
            try plan("Observation?patient.name=x", handling: .lenient, allowing: ["Observation"])
        }
    }

    @Test func `an untyped chain and include keep to the types that the caller may see`() throws {
        let plan = try plan(
            "Observation?subject.identifier=x&_include=Observation:subject", allowing: ["Observation", "Group"])
        let group = try #require(ResourceType.named("Group"))
        guard case .chain(_, let branches) = try #require(plan.filters.first) else {
            Issue.record("no chain")
            return
        }
        #expect(branches.map(\.type) == [group.code])
        #expect(plan.includes.map(\.targets) == [[group.code]])
    }

    @Test func `an include that leads to nothing the caller may see adds nothing and says so`() throws {
        for value in ["Observation:subject", "Observation:patient"] {
            let plan = try plan("Observation?_include=\(value)", allowing: ["Observation"])
            #expect(plan.includes.isEmpty && plan.warnings.map(\.code) == [.forbidden], "\(value)")
            #expect(plan.warnings[0].diagnostics.contains("leads to Patient"), "\(value)")
        }
        #expect(
            refusal("Observation?subject.identifier=x", allowing: ["Observation"])?.diagnostics
                == "'subject.identifier' leads to Patient, Device, Group, Location, which the caller may not search.")
    }

    @Test func `a search over everything is one over what the caller may see`() throws {
        let plan = try plan("?_lastUpdated=gt2020", allowing: ["Patient", "Encounter"])
        #expect(plan.types.map(\.name) == ["Encounter", "Patient"])
        #expect(refusal("?_lastUpdated=gt2020", allowing: [])?.code == .forbidden)
    }

    @Test func `equal criteria are equal text in any order`() throws {
        let one = try plan("Patient?identifier=urn:x|1&gender=male&_count=5")
        let other = try plan("Patient?gender=male&identifier=urn:x|1&_sort=name")
        #expect(one.canonicalCriteria == other.canonicalCriteria)
        #expect(one.canonicalCriteria == "Patient?gender=male&identifier=urn:x%7C1")
    }

    @Test func `a page larger than we make is one of the largest`() throws {
        let plan = try plan("Patient?_count=5000")
        #expect(plan.count == 1000)
        #expect(plan.query == "_count=1000")
    }

    @Test func `conditions and alternatives are bounded`() {
        let conditions = "Patient?" + Array(repeating: "gender=male", count: 65).joined(separator: "&")
        #expect(refusal(conditions)?.code == .limit)
        let alternatives = "Patient?identifier=" + Array(repeating: "a", count: 1001).joined(separator: ",")
        #expect(refusal(alternatives)?.code == .limit)
    }
}
