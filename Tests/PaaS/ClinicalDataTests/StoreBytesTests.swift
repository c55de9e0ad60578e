import ClinicalData
import NIOCore
import StrictJSON
import Testing

struct StoreBytesTests {
    /// What is stored for `text`, as text.
    private func stored(_ text: String, id: String = "1") throws -> String {
        let document = try JSONDocument(Array(text.utf8))
        return String(decoding: ResourceBytes.stored(document, id: id) ?? document.bytes, as: UTF8.self)
    }

    private func served(_ text: String) -> String {
        let bytes = ResourceBytes.spliced(
            content: ByteBuffer(string: text), version: 3, lastUpdated: 1_700_000_000_046_000)
        return String(buffer: bytes)
    }

    private let version = "\"versionId\":\"3\",\"lastUpdated\":\"2023-11-14T22:13:20.046Z\""

    @Test(arguments: [
        (#"{"resourceType":"Patient"}"#, #"{"resourceType":"Patient","id":"1","meta":{}}"#),
        (#"{"resourceType":"Patient","id":"9"}"#, #"{"resourceType":"Patient","id":"1","meta":{}}"#),
        (#"{"meta":{"versionId":"7"},"resourceType":"Patient"}"#, #"{"meta":{},"resourceType":"Patient","id":"1"}"#),
        (
            #"{"resourceType":"Patient","id":"1","meta":{"versionId":"7","tag":[{"code":"t"}],"lastUpdated":"x"}}"#,
            #"{"resourceType":"Patient","id":"1","meta":{"tag":[{"code":"t"}]}}"#
        ),
        (
            #"{"resourceType":"Patient","id":"\u0031","m\u0065ta":{}}"#,
            #"{"resourceType":"Patient","id":"1","meta":{}}"#
        ),
    ])
    func `stored bytes have the id and a meta without version`(_ sent: String, _ expected: String) throws {
        #expect(try stored(sent) == expected)
    }

    @Test func `everything else stays as it came`() throws {
        let sent =
            "{ \"resourceType\" : \"Observation\",\n\t\"id\" : \"1\", \"meta\" : { },\"valueQuantity\": {\"value\": 1.00e2}}"
        #expect(try stored(sent) == sent)
        #expect(try ResourceBytes.stored(JSONDocument(Array(sent.utf8)), id: "1") == nil)
    }

    @Test func `served bytes have version and time at the head of meta`() {
        #expect(served(#"{"id":"1","meta":{}}"#) == #"{"id":"1","meta":{\#(version)}}"#)
        #expect(
            served(#"{"meta": {"tag":[]},"id":"1"}"#) == #"{"meta": {\#(version),"tag":[]},"id":"1"}"#)
    }

    @Test func `meta is found behind anything`() {
        let before =
            #"{"text":{"div":"<p>\"meta\":{ } ]\\</p>","meta":{"a":[1,{"meta":{}}]}},"n":[-1.5e3,true,null,"{"],"#
        #expect(served(before + #""meta":{ }}"#) == before + #""meta":{\#(version) }}"#)
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"), (4_102_444_799_999_999, "2099-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func `instants are written in milliseconds`(_ microseconds: Int64, _ text: String) {
        #expect(FHIRInstant.text(microseconds) == text)
    }

    @Test(
        arguments: [
            ("2000-02-29T00:00:00Z", 951_782_400_000_000), ("2000-02-29T02:30:00.5+02:30", 951_782_400_500_000),
            ("2001-02-29T00:00:00Z", nil), ("2000-02-29", nil), ("2000-02-29T00:00:00", nil), ("", nil),
            ("2000-02-29T00:00:00.Z", nil), ("2000-02-29T00:00:00Zx", nil),
        ] as [(String, Int64?)])
    func `instants are read strictly`(_ text: String, _ microseconds: Int64?) {
        #expect(FHIRInstant.parse(text) == microseconds)
    }

    @Test func `ids follow the rule`() {
        #expect(ResourceID.isValid("a-B.9"))
        #expect(!ResourceID.isValid(""))
        #expect(!ResourceID.isValid("a_b"))
        #expect(!ResourceID.isValid(String(repeating: "a", count: 65)))
        #expect(ResourceID.isValid(ResourceID.make()))
        #expect(ResourceID.make() != ResourceID.make())
        #expect(ResourceID.make().utf8.count == 36)
    }

    @Test(arguments: ["", "f", "fo", "foo", "foob", "fooba", "foobar"])
    func `base64 reads what it writes`(_ text: String) {
        #expect(Base64.decoded(Base64.encoded(text.utf8)) == Array(text.utf8))
    }

    @Test(arguments: ["Zg", "Zg=", "Z===", "Zh==", "Z g="])
    func `base64 that is none is refused`(_ text: String) {
        #expect(Base64.decoded(text) == nil)
    }
}
