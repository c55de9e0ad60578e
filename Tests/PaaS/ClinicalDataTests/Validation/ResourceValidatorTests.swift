import StrictJSON
import Testing

@testable import ClinicalData

/// The issues of a resource as "code expression".
private func issues(_ json: String) throws -> [String] {
    let document = try JSONDocument(Array(json.utf8))
    let type = try #require(document.root["resourceType"]?.string.flatMap(ResourceType.named))
    return Definitions.r4.validate(document: document, type: type).map { "\($0.code.rawValue) \($0.expression)" }
}

private func patient(_ members: String) throws -> [String] { try issues("{\"resourceType\":\"Patient\",\(members)}") }

/// The required members of an Observation.
private func observation(_ members: String) throws -> [String] {
    try issues("{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{\"text\":\"c\"},\(members)}")
}

@Suite struct ResourceValidatorTests {
    @Test func `a full patient has no issues`() throws {
        let found = try patient(
            #"""
            "id":"p-1.a","meta":{"versionId":"1","lastUpdated":"2020-01-01T00:00:00.123+08:00","profile":["http://p|1"]},
            "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>𠀀 &amp; <b>x</b><br/></p></div>"},
            "contained":[{"resourceType":"Organization","id":"o","name":"O"}],
            "extension":[{"url":"http://e","valueString":"x"},{"url":"http://f","extension":[{"url":"g","valueInteger":1}]}],
            "identifier":[{"use":"official","system":"urn:oid:1.2","value":"7","assigner":{"display":"A"}}],"active":true,
            "name":[{"family":"𠀀","given":["A",null],"_given":[null,{"extension":[{"url":"http://x","valueCode":"y"}]}]}],
            "gender":"female","birthDate":"1970-01","_birthDate":{"id":"b"},"deceasedDateTime":"2020-01-01T00:00:00Z",
            "multipleBirthInteger":-2,"photo":[{"contentType":"image/png","data":"aGVsbG8="}],
            "managingOrganization":{"reference":"#o"},"generalPractitioner":[{"reference":"Practitioner/1/_history/2"},
            {"reference":"http://elsewhere/fhir/Organization/1"},{"reference":"http://elsewhere/any"},{"reference":"urn:uuid:1"},{"reference":"Practitioner?identifier=a|b"}],
            "link":[{"other":{"reference":"RelatedPerson/1"},"type":"seealso"}]
            """#)
        #expect(found == [])
    }

    @Test(arguments: [
        (#""foo":1"#, "structure Patient.foo"),
        (#""name":[{"use":"official","fist":"A"}]"#, "structure Patient.name[0].fist"),
        (#""_foo":{}"#, "structure Patient._foo"), (#""_name":[{}]"#, "structure Patient._name"),
        (#""a b<script>":1"#, "structure Patient"), (#""deceased":true"#, "structure Patient.deceased"),
        (#""name":{"family":"A"}"#, "structure Patient.name"), (#""gender":["male"]"#, "structure Patient.gender"),
        (#""name":[]"#, "structure Patient.name"), (#""name":["A"]"#, "structure Patient.name[0]"),
        (#""name":[{}]"#, "structure Patient.name[0]"), (#""name":[null]"#, "structure Patient.name[0]"),
        (#""gender":null"#, "structure Patient.gender"), (#""maritalStatus":"M""#, "structure Patient.maritalStatus"),
        (#""active":"true""#, "structure Patient.active"), (#""active":1"#, "structure Patient.active"),
        (#""gender":1"#, "structure Patient.gender"),
        (#""multipleBirthInteger":"2""#, "structure Patient.multipleBirth"),
        (#""multipleBirthInteger":1.5"#, "value Patient.multipleBirth"),
        (#""multipleBirthInteger":3000000000"#, "value Patient.multipleBirth"),
        (#""multipleBirthInteger":1,"multipleBirthBoolean":true"#, "structure Patient.multipleBirth"),
        (#""deceasedBoolean":true,"_deceasedDateTime":{"id":"x"}"#, "structure Patient.deceased"),
        (#""name":[{"given":["A",null]}]"#, "structure Patient.name[0].given[1]"),
        (#""name":[{"given":["A"],"_given":[null,{"id":"x"}]}]"#, "structure Patient.name[0].given"),
        (#""name":[{"given":["A"],"_given":[null]}]"#, "structure Patient.name[0].given"),
        (#""name":[{"family":""}]"#, "value Patient.name[0].family"),
        (#""name":[{"family":"  "}]"#, "value Patient.name[0].family"),
        (#""name":[{"family":"a\u0001"}]"#, "value Patient.name[0].family"),
        (#""gender":"mal""#, "code-invalid Patient.gender"), (#""gender":"Male""#, "code-invalid Patient.gender"),
        (#""gender":" male""#, "value Patient.gender"), (#""birthDate":"1970-02-30""#, "value Patient.birthDate"),
        (#""birthDate":"1970-1-1""#, "value Patient.birthDate"),
        (#""birthDate":"01.01.1970""#, "value Patient.birthDate"),
        (#""birthDate":"1970-01-01T00:00:00Z""#, "value Patient.birthDate"),
        (#""birthDate":19700101"#, "structure Patient.birthDate"),
        (#""deceasedDateTime":"2020-01-01T00:00:00""#, "value Patient.deceased"),
        (#""deceasedDateTime":"2020-01-01T10:00Z""#, "value Patient.deceased"),
        (#""meta":{"lastUpdated":"2020-01-01"}"#, "value Patient.meta.lastUpdated"),
        (#""id":"a/b""#, "value Patient.id"), (#""id":"""#, "value Patient.id"),
        (#""meta":{"profile":["a b"]}"#, "value Patient.meta.profile[0]"),
        (#""photo":[{"data":"aGVsbG8"}]"#, "value Patient.photo[0].data"),
        (#""photo":[{"data":"a=bc"}]"#, "value Patient.photo[0].data"),
        (#""photo":[{"size":-1}]"#, "value Patient.photo[0].size"),
        (#""telecom":[{"rank":0}]"#, "value Patient.telecom[0].rank"),
        (#""link":[{"type":"seealso"}]"#, "required Patient.link[0].other"),
        (#""communication":[{"preferred":true}]"#, "required Patient.communication[0].language"),
        (#""generalPractitioner":[{"reference":"Patient/1"}]"#, "value Patient.generalPractitioner[0].reference"),
        (
            #""generalPractitioner":[{"reference":"https://elsewhere/fhir/Patient/1/_history/2"}]"#,
            "value Patient.generalPractitioner[0].reference"
        ),
        (#""generalPractitioner":[{"reference":"Foo/1"}]"#, "value Patient.generalPractitioner[0].reference"),
        (#""generalPractitioner":[{"reference":"nonsense"}]"#, "value Patient.generalPractitioner[0].reference"),
        (#""generalPractitioner":[{"reference":"Patient?x=y:z"}]"#, "value Patient.generalPractitioner[0].reference"),
        (##""generalPractitioner":[{"reference":"#none"}]"##, "value Patient.generalPractitioner[0].reference"),
        (#""generalPractitioner":[{"type":"Patient","display":"x"}]"#, "value Patient.generalPractitioner[0].type"),
        (#""extension":[{"valueString":"x"}]"#, "required Patient.extension[0].url"),
        (#""extension":[{"url":"http://e"}]"#, "invariant Patient.extension[0]"),
        (
            #""extension":[{"url":"http://e","valueString":"x","extension":[{"url":"f","valueCode":"c"}]}]"#,
            "invariant Patient.extension[0]"
        ),
        (#""extension":[{"url":"http://e","valueNothing":"x"}]"#, "structure Patient.extension[0].valueNothing"),
        (#""contained":[{"id":"x"}]"#, "structure Patient.contained[0]"),
        (#""contained":[{"resourceType":"Nothing","id":"x"}]"#, "structure Patient.contained[0]"),
        (#""contained":[{"resourceType":"Group","id":"x","type":"person"}]"#, "required Patient.contained[0].actual"),
        (#""text":{"status":"generated","div":"plain"}"#, "value Patient.text.div"),
        (#""text":{"status":"generated"}"#, "required Patient.text.div"),
    ])
    func `a bad patient gets an issue with code and expression`(_ members: String, _ expected: String) throws {
        let found = try patient(members)
        #expect(found.contains(expected), "\(found)")
    }

    @Test func `one mistake gives one issue`() throws {
        #expect(try patient(#""gender":"mal""#) == ["code-invalid Patient.gender"])
        #expect(try patient(#""name":[{"given":["a"],"fist":1}]"#) == ["structure Patient.name[0].fist"])
        #expect(try patient(#""deceasedBoolean":true,"deceasedDateTime":"2020""#) == ["structure Patient.deceased"])
    }

    @Test func `required elements of the root are named`() throws {
        #expect(
            try issues(#"{"resourceType":"Observation"}"#) == [
                "required Observation.status", "required Observation.code",
            ])
        #expect(try issues(#"{"resourceType":"Observation","_status":{"id":"x"},"code":{"text":"t"}}"#) == [])
    }

    @Test func `nested contained resources are refused`() throws {
        let inner = #"{"resourceType":"Organization","id":"b","contained":[{"resourceType":"Patient","id":"c"}]}"#
        #expect(try patient("\"contained\":[\(inner)]") == ["invariant Patient.contained[0].contained[0]"])
    }

    @Test(arguments: ["1", "1.0", "1.00", "-0.5", "1e3", "12345678901234567890.123", "0e0", "1e-999"])
    func `decimals of any precision are accepted`(_ number: String) throws {
        #expect(try observation("\"valueQuantity\":{\"value\":\(number)}") == [])
    }

    @Test func `an exponent that the index cannot hold is refused`() throws {
        #expect(try observation("\"valueQuantity\":{\"value\":1e1000}") == ["value Observation.value.value"])
        #expect(try observation("\"valueQuantity\":{\"value\":\"1\"}") == ["structure Observation.value.value"])
    }

    @Test func `required bindings of concepts want one coding of the set`() throws {
        func condition(_ status: String) throws -> [String] {
            try issues(
                "{\"resourceType\":\"Condition\",\"subject\":{\"reference\":\"Patient/1\"},\"clinicalStatus\":\(status)}"
            )
        }
        let system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
        #expect(try condition("{\"coding\":[{\"system\":\"\(system)\",\"code\":\"active\"}]}") == [])
        #expect(
            try condition(
                "{\"coding\":[{\"system\":\"x\",\"code\":\"y\"},{\"system\":\"\(system)\",\"code\":\"active\"}]}") == []
        )
        for bad in ["{\"coding\":[{\"system\":\"x\",\"code\":\"active\"}]}", "{\"text\":\"active\"}"] {
            #expect(try condition(bad) == ["code-invalid Condition.clinicalStatus"])
        }
    }

    @Test func `a string has at most 1 MiB and base64 has no limit`() throws {
        let long = String(repeating: "a", count: (1 << 20) + 4)
        #expect(try patient("\"name\":[{\"family\":\"\(long)\"}]") == ["too-long Patient.name[0].family"])
        #expect(try patient("\"name\":[{\"family\":\"\(long.dropLast(4))\"}]") == [])
        #expect(try patient("\"photo\":[{\"data\":\"\(long)\"}]") == [])
    }

    @Test func `the resources of a bundle are validated, each with its own contained`() throws {
        let entry = ##"{"resource":{"resourceType":"Patient","managingOrganization":{"reference":"#o"}}}"##
        let found = try issues(
            "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[\(entry),{\"resource\":{\"a\":1}}]}")
        #expect(
            found == [
                "value Bundle.entry[0].resource.managingOrganization.reference", "structure Bundle.entry[1].resource",
            ])
    }

    @Test func `a resource full of mistakes gets a bounded answer`() throws {
        let names = (0..<1000).map { _ in #"{"x":1}"# }.joined(separator: ",")
        #expect(try patient("\"name\":[\(names)]").count == ResourceValidator.maximumIssues)
    }

    @Test(arguments: [
        ("<div>x</div>", true), (" <div class='a'>x<img src=\"https://x/y.png\"/></div> ", true),
        ("<div><!-- c --><a href=\"#x\">y</a></div>", true), ("<div><a href=\"urn:x\">y</a></div>", true),
        ("<div><img src=\"data:image/png;base64,AA\"/></div>", true), ("<div/>", false), ("<div></div>", false),
        ("<div> <p/> </div>", false), ("<p>x</p>", false), ("<div>x", false), ("x<div>x</div>", false),
        ("<div>x</div>y", false),
        ("<div>x</div><div>y</div>", false), ("<div><b>x</div></b>", false), ("<div><script>x</script></div>", false),
        ("<div><SCRIPT>x</SCRIPT></div>", false), ("<div onclick=\"x()\">x</div>", false),
        ("<div OnLoad='x'>x</div>", false),
        ("<div><a href=\"javascript:x()\">x</a></div>", false), ("<div><a href=\" JaVascript:x()\">x</a></div>", false),
        ("<div><a href=\"javascript&#58;x()\">x</a></div>", false), ("<div><iframe src=\"https://x\"/>x</div>", false),
        ("<div><img src=x onerror=y/>z</div>", false), ("<div><svg>x</svg></div>", false),
        ("<!DOCTYPE html><div>x</div>", false),
        ("<div><form>x</form></div>", false), ("<div a=\"<\">x</div>", false),
        ("<div><a href=\"data:text/html,x\">x</a></div>", false),
    ])
    func `narratives are one well-nested div without anything active`(_ text: String, _ isSafe: Bool) {
        var text = text
        #expect(text.withUTF8 { NarrativeFormat.isSafe($0) } == isSafe)
    }

    @Test(arguments: [
        ("urn:oid:1.2.3", true), ("urn:oid:2.0", true), ("urn:oid:3.1", false), ("urn:oid:1", false),
        ("urn:oid:1.02", false),
        ("1.2.3", false), ("urn:oid:1..2", false),
    ])
    func `oids have their form`(_ text: String, _ isOID: Bool) {
        var text = text
        #expect(text.withUTF8 { PrimitiveFormat.isOID($0) } == isOID)
    }

    @Test(arguments: [
        ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", true),
        ("urn:uuid:C757873D-EC9A-4326-A141-556F43239520", true),
        ("c757873d-ec9a-4326-a141-556f43239520", false), ("urn:uuid:c757873dec9a4326a141556f43239520", false),
        ("urn:uuid:g757873d-ec9a-4326-a141-556f43239520", false),
    ])
    func `uuids have their form`(_ text: String, _ isUUID: Bool) {
        var text = text
        #expect(text.withUTF8 { PrimitiveFormat.isUUID($0) } == isUUID)
    }

    @Test(arguments: [
        ("12:34:56", true), ("00:00:00.123", true), ("23:59:60", true), ("24:00:00", false), ("12:34", false),
        ("12:34:56Z", false),
        ("1:02:03", false), ("12:34:56.", false),
    ])
    func `times have their form`(_ text: String, _ isTime: Bool) {
        var text = text
        #expect(text.withUTF8 { PrimitiveFormat.isTime($0) } == isTime)
    }
}
