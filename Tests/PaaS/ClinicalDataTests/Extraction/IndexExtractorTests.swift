import StrictJSON
import Testing

@testable import ClinicalData

/// The index rows of a resource, as lines of text: table, parameter code, values.
private func lines(_ json: String) throws -> Set<String> {
    let (rows, type) = try index(json)
    func code(_ id: Int32) -> String {
        let parameter = Definitions.r4.parameter(id: id)
        return parameter?.type == type ? parameter?.code ?? "?" : "?"
    }
    var result: Set<String> = []
    for row in rows.tokens { result.insert("token \(code(row.parameter)) \(row.system)|\(row.code)") }
    for row in rows.strings { result.insert("string \(code(row.parameter)) \(row.folded)=\(row.value)") }
    for row in rows.dates { result.insert("date \(code(row.parameter)) \(row.low)..<\(row.high)") }
    for row in rows.references {
        let name = ResourceType[row.targetType]?.name ?? "-"
        result.insert("reference \(code(row.parameter)) \(name) \(row.targetID)")
    }
    for row in rows.quantities {
        result.insert("quantity \(code(row.parameter)) \(row.low)..<\(row.high) \(row.system)|\(row.code)|\(row.unit)")
    }
    for row in rows.uris { result.insert("uri \(code(row.parameter)) \(row.value)") }
    return result
}

private func index(_ json: String) throws -> (rows: IndexRows, type: ResourceType) {
    let document = try JSONDocument(Array(json.utf8))
    let type = try #require(document.root["resourceType"]?.string.flatMap(ResourceType.named))
    return (Definitions.r4.extract(document: document, type: type, baseURL: "http://own/fhir"), type)
}

@Suite struct IndexExtractorTests {
    @Test func `a patient gives tokens, strings, dates and references`() throws {
        let found = try lines(
            #"""
            {"resourceType":"Patient","id":"p1","meta":{"tag":[{"system":"t","code":"x","display":"Tag É"}],
             "profile":["http://p/a|1.0"]},"active":true,
             "identifier":[{"system":"urn:oid:1.2","value":"77","type":{"text":"MRN"}}],
             "name":[{"family":"Zoë","given":["Ann","Bo"],"text":"Ann Zoë"}],
             "telecom":[{"system":"phone","value":"555"},{"system":"email","value":"a@b"}],
             "gender":"male","birthDate":"1970-01-01","deceasedBoolean":false,"multipleBirthInteger":2,
             "generalPractitioner":[{"reference":"Practitioner/9"},{"identifier":{"system":"s","value":"v"}}],
             "managingOrganization":{"reference":"http://own/fhir/Organization/o/_history/2"}}
            """#)
        let expected = [
            "token _tag t|x", "string _tag tag e=Tag É", "uri _profile http://p/a|1.0", "uri _profile http://p/a",
            "token active |true", "token identifier urn:oid:1.2|77", "string identifier mrn=MRN",
            "string family zoe=Zoë", "string given ann=Ann", "string given bo=Bo", "string name ann zoe=Ann Zoë",
            "string name bo=Bo", "token phone |555", "token email |a@b", "token telecom |555", "token telecom |a@b",
            "token gender http://hl7.org/fhir/administrative-gender|male", "date birthdate 0..<86400000000",
            "token deceased |false", "token birthOrderBoolean |2",
            "reference general-practitioner Practitioner 9", "token general-practitioner s|v",
            "reference general-practitioner - ", "reference organization Organization o",
        ]
        for line in expected { #expect(found.contains(line), "\(line)") }
        #expect(!found.contains("token phone |a@b"))
        #expect(!found.contains { $0.contains("?") })
    }

    @Test(arguments: [
        (#""deceasedBoolean":true"#, "true"), (#""deceasedDateTime":"2020""#, "true"),
        (#""deceasedBoolean":false"#, "false"),
        (#""active":true"#, "false"),
    ])
    func `deceased is true only when it is there and not false`(_ member: String, _ expected: String) throws {
        let found = try lines("{\"resourceType\":\"Patient\",\(member)}")
        #expect(found.filter { $0.hasPrefix("token deceased") } == ["token deceased |\(expected)"])
    }

    @Test func `an observation gives quantities with their precision`() throws {
        let found = try lines(
            #"""
            {"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"1-8"}],
             "text":"Puls"},"subject":{"reference":"Patient/p"},
             "valueQuantity":{"value":5.40,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"},
             "effectivePeriod":{"start":"1970-01-01"},
             "component":[{"code":{"text":"c"},"valueQuantity":{"value":7,"comparator":"<"}}]}
            """#)
        let expected = [
            "quantity value-quantity 5.395..<5.405 http://unitsofmeasure.org|mg|mg",
            "quantity combo-value-quantity -Infinity..<7 ||", "quantity component-value-quantity -Infinity..<7 ||",
            "date date 0..<\(IndexRows.end)", "token code http://loinc.org|1-8", "string code puls=Puls",
            "token status http://hl7.org/fhir/observation-status|final", "token component-code |",
            "string component-code c=c", "reference subject Patient p", "reference patient Patient p",
        ]
        for line in expected { #expect(found.contains(line), "\(line)") }
    }

    @Test func `resolve() is answered by text, contained resource or Reference type`() throws {
        func patients(_ subject: String, _ more: String = "") throws -> [String] {
            try lines("{\"resourceType\":\"Condition\",\"subject\":\(subject)\(more)}")
                .filter { $0.hasPrefix("reference patient") }.sorted()
        }
        #expect(try patients(#"{"reference":"Group/1"}"#) == [])
        #expect(try patients(#"{"reference":"Patient/1"}"#) == ["reference patient Patient 1"])
        #expect(try patients(#"{"reference":"http://x/Patient/1"}"#) == ["reference patient - http://x/Patient/1"])
        #expect(try patients(#"{"reference":"urn:uuid:1","type":"Patient"}"#) == ["reference patient - urn:uuid:1"])
        #expect(try patients(#"{"reference":"urn:uuid:1"}"#) == [])
        let contained = #","contained":[{"resourceType":"Patient","id":"c"}]"#
        #expect(try patients(##"{"reference":"#c"}"##, contained) == ["reference patient - #c"])
        #expect(try patients(##"{"reference":"#d"}"##, contained) == [])
    }

    @Test func `timing counts by its outer limits`() throws {
        let found = try lines(
            #"""
            {"resourceType":"ServiceRequest","occurrenceTiming":{"event":["1970-01-03","1970-01-01"],
             "repeat":{"boundsPeriod":{"start":"1970-01-02","end":"1970-01-05"}}}}
            """#)
        #expect(found.contains("date occurrence 0..<\(5 * 86_400_000_000)"))
    }

    @Test func `canonicals are found with and without version`() throws {
        let found = try lines(
            #"{"resourceType":"QuestionnaireResponse","questionnaire":"http://q/x|2","status":"completed"}"#)
        #expect(found.contains("reference questionnaire - http://q/x|2"))
        #expect(found.contains("reference questionnaire - http://q/x"))
    }

    @Test func `extensions are searched by their value`() throws {
        let url = "http://hl7.org/fhir/StructureDefinition/patient-extensions-Patient-mothersMaidenName"
        let found = try lines(
            "{\"resourceType\":\"Patient\",\"extension\":[{\"url\":\"\(url)\",\"valueString\":\"Öz\"},"
                + "{\"url\":\"http://other\",\"valueString\":\"no\"}]}")
        #expect(found.filter { $0.contains("mothersMaidenName") } == ["string mothersMaidenName oz=Öz"])
    }

    @Test func `only the first entry of a bundle is its composition`() throws {
        let found = try lines(
            #"""
            {"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Composition","id":"c"}},
             {"resource":{"resourceType":"Composition","id":"d"}}]}
            """#)
        #expect(found.filter { $0.hasPrefix("reference") } == ["reference composition Composition c"])
    }

    @Test func `the patient is the first of the compartment's parameters`() throws {
        #expect(try index(#"{"resourceType":"Patient","id":"me"}"#).rows.patient == "me")
        let text =
            #"{"resourceType":"Observation","performer":[{"reference":"Patient/b"}],"subject":{"reference":"Patient/a"}}"#
        #expect(try index(text).rows.patient == "a")
        #expect(try index(#"{"resourceType":"Observation","subject":{"reference":"Group/a"}}"#).rows.patient == nil)
        #expect(try index(#"{"resourceType":"Organization","id":"o"}"#).rows.patient == nil)
    }

    @Test func `the hash changes with the rows and with nothing else`() throws {
        func hash(_ text: String) throws -> Int64 { try index(text).rows.hash }
        let plain = try hash(#"{"resourceType":"Patient","gender":"male"}"#)
        #expect(try hash(#"{ "resourceType": "Patient", "language": "de", "gender" : "male" }"#) == plain)
        #expect(try hash(#"{"resourceType":"Patient","gender":"female"}"#) != plain)
        #expect(try hash(#"{"resourceType":"Patient","gender":"male","id":"x"}"#) != plain)
    }

    @Test(arguments: [3, 200]) func `repeated values give one row`(_ count: Int) throws {
        let names = (0..<count).map { _ in #"{"family":"A"}"# }.joined(separator: ",")
        let rows = try index("{\"resourceType\":\"Patient\",\"name\":[\(names)]}").rows
        let family = try #require(ResourceType.named("Patient").flatMap { Definitions.r4.parameter($0, "family") })
        #expect(rows.strings.filter { $0.parameter == family.id }.count == 1)
    }

    @Test func `escaped keys and values are read as what they mean`() throws {
        let found = try lines(
            #"{"resourceType":"Patient","\u0067ender":"\u006dale","name":[{"family":"\ud840\udc00"}]}"#)
        #expect(found.contains("token gender http://hl7.org/fhir/administrative-gender|male"))
        #expect(found.contains("string family 𠀀=𠀀"))
    }
}
