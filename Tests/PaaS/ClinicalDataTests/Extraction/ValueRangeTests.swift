import Testing

@testable import ClinicalData

@Suite struct ValueRangeTests {
    private static let second: Int64 = 1_000_000
    private static let day: Int64 = 86_400 * second

    @Test(arguments: [
        ("1970", 0, 365 * day), ("1970-02", 31 * day, 59 * day), ("1970-01-02", day, 2 * day),
        ("2000-02-29", 11_016 * day, 11_017 * day), ("1969-12-31", -day, 0),
        ("1970-01-01T00:00:01Z", second, 2 * second), ("1970-01-01T00:00:01", second, 2 * second),
        ("1970-01-01T00:01Z", 60 * second, 120 * second),
        ("1970-01-01T02:00:00+02:00", 0, second), ("1969-12-31T22:30:00-01:30", 0, second),
        ("1970-01-01T00:00:00.5Z", 500_000, 600_000), ("1970-01-01T00:00:00.123Z", 123_000, 124_000),
        ("1970-01-01T00:00:00.1234567Z", 123_456, 123_457), ("1970-01-01T00:00:60Z", 59 * second, 60 * second),
        ("1900", -25_567 * day, -25_202 * day), ("0001-01-01", -719_162 * day, -719_161 * day),
        ("9999-12-31", 2_932_896 * day, 2_932_897 * day),
    ])
    func `a date stands for the range of its precision`(_ text: String, _ low: Int64, _ high: Int64) {
        #expect(DateRange(text) == DateRange(low: low, high: high))
    }

    @Test(arguments: [
        "", "19", "197", "1970-", "1970-1", "1970-13", "1970-00", "1970-02-30", "1900-02-29", "1970-01-32", "0000",
        "1970-01-01T", "1970-01-01T24:00:00Z", "1970-01-01T00", "1970-01-01T00:60Z", "1970-01-01T00:00:61Z",
        "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00z", "1970-01-01T00:00:00+1:00", "1970-01-01T00:00:00+15:00",
        "1970-01-01 00:00:00Z", "1970/01/01", "01-01-1970", "+1970", "1970-01-01T00:00:00ZZ", "１９７０",
    ])
    func `what is no date has no range`(_ text: String) {
        #expect(DateRange(text) == nil)
    }

    @Test(arguments: [
        ("100", "99.5", "100.5"), ("100.00", "99.995", "100.005"), ("1e2", "95", "105"), ("5.4", "5.35", "5.45"),
        ("5.40e-3", "0.005395", "0.005405"), ("0", "-0.5", "0.5"), ("0.0", "-0.05", "0.05"), ("0.05", "0.045", "0.055"),
        ("-5.4", "-5.45", "-5.35"), ("-1", "-1.5", "-0.5"), ("1", "0.5", "1.5"), ("10", "9.5", "10.5"),
        ("1.5e3", "1450", "1550"), ("12E+1", "115", "125"), ("007", "6.5", "7.5"),
        ("12345678901234567890.1", "12345678901234567890.05", "12345678901234567890.15"),
    ])
    func `a decimal stands for the range of its digits`(_ text: String, _ low: String, _ high: String) {
        #expect(DecimalRange(text) == DecimalRange(low: low, high: high))
    }

    @Test(arguments: ["", "-", ".", "1e", "abc", "1.2.3", "1e1000", "0x10", "1 ", "NaN", "--1"])
    func `what is no decimal has no range`(_ text: String) {
        #expect(DecimalRange(text) == nil)
    }

    @Test(arguments: [
        ("Zoë MÜLLER", "zoe muller"), ("Ångström", "angstrom"), ("A\u{30A}", "a"), ("Å", "a"), ("Straße", "strasse"),
        ("ΟΔΟΣ", "οδοσ"), ("İstanbul", "istanbul"), ("Đặng", "đang"), ("李小龍", "李小龍"), ("𠀀𪜶", "𠀀𪜶"), ("😀", "😀"),
        ("ё", "е"), ("\u{F900}", "\u{8C48}"), ("", ""), ("plain ASCII", "plain ascii"),
    ])
    func `folding removes case and accents and nothing else`(_ text: String, _ expected: String) {
        #expect(Array(TextFolding.folded(text).unicodeScalars) == Array(expected.unicodeScalars))
        #expect(TextFolding.folded(expected) == expected)
    }

    @Test func `composed and decomposed Hangul fold to the same text`() {
        let composed = TextFolding.folded("한글")
        let decomposed = TextFolding.folded("\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}")
        #expect(Array(composed.unicodeScalars) == Array(decomposed.unicodeScalars))
    }

    @Test func `long keys are bounded to a digest`() {
        let short = String(repeating: "中", count: 170)
        #expect(IndexKey.bounded(short) == short)
        let long = String(repeating: "a", count: 513)
        #expect(
            IndexKey.bounded(long) == "sha256:02425c0f5b0dabf3d2b9115f3f7723a02ad8bcfb1534a0d231614fd42b8188f6")
        #expect(IndexKey.bounded(long).utf8.count == 71)
        #expect(IndexKey.bounded(long) != IndexKey.bounded(long + "a"))
    }

    @Test func `references are told apart by their text`() throws {
        let patient = try #require(ResourceType.named("Patient"))
        let base = "https://h1.example/fhir"
        func target(_ text: String) -> ReferenceTarget { ReferenceTarget(text, baseURL: base) }
        #expect(target("Patient/7") == .local(patient, id: "7"))
        #expect(target("Patient/7/_history/3") == .local(patient, id: "7"))
        #expect(target("https://h1.example/fhir/Patient/7") == .local(patient, id: "7"))
        #expect(target("https://h1.example/fhir/Patient/7/_history/2") == .local(patient, id: "7"))
        for text in [
            "https://other.example/fhir/Patient/7", "https://h1.example/fhirx/Patient/7", "urn:uuid:1", "#p", "", "x",
            "patient/7", "Patient/", "/Patient/7", "Patient/a b", "Patient/7/8", "https://h1.example/fhir/",
        ] {
            #expect(target(text) == .other(text))
        }
        #expect(target("https://o.example/Patient/7/_history/2") == .other("https://o.example/Patient/7"))
    }
}
