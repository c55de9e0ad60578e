import Testing

@testable import ClinicalData

struct SearchTextTests {
    @Test(arguments: [
        ("a,b", ["a", "b"]), ("a\\,b", ["a\\,b"]), ("a\\\\,b", ["a\\\\", "b"]), ("", [""]), (",", ["", ""]),
        ("李,雷", ["李", "雷"]),
    ])
    func `a separator behind a backslash does not separate`(text: String, pieces: [String]) {
        #expect(SearchText.split(text, at: UInt8(ascii: ",")) == pieces)
    }

    @Test(arguments: [
        ("a\\,b", "a,b"), ("a\\|b", "a|b"), ("a\\$b", "a$b"), ("a\\\\b", "a\\b"), ("a\\b", "a\\b"), ("a\\", "a\\"),
        ("\\\\\\,", "\\,"),
    ])
    func `only the escapes of the specification are removed`(text: String, plain: String) {
        #expect(SearchText.unescaped(text) == plain)
    }

    @Test(arguments: [
        ("urn:e|7", "urn:e", "7"), ("urn:e|a\\,b", "urn:e", "a,b"), ("urn:e|a\\|b", "urn:e", "a|b"),
        ("urn:e|\\\\\\$", "urn:e", "\\$"), ("urn:e|a,b", nil, nil), ("urn:e|a|b", nil, nil), ("urn:e|", nil, nil),
        ("|7", nil, nil), ("7", nil, nil),
    ])
    func `an identifier is one system and one value`(text: String, system: String?, value: String?) {
        let token = IdentifierToken(text)
        #expect(token?.system == system)
        #expect(token?.value == value)
    }

    @Test(arguments: [
        ("abc", "abd"), ("a\u{D7FF}", "a\u{E000}"), ("a\u{10FFFF}", "b"), ("\u{10FFFF}", nil), ("", nil),
        ("𠀀", "𠀁"),
    ])
    func `the upper bound of a prefix is the next text that does not begin with it`(prefix: String, upper: String?) {
        #expect(SearchText.upperBound(ofPrefix: prefix) == upper)
    }

    @Test(arguments: [
        ("http://x", true), ("urn:uuid:1", true), ("Patient/1", false), ("a", false), (":x", false), ("1a:b", false),
        ("a:", false),
    ])
    func `an absolute reference has a scheme`(text: String, isAbsolute: Bool) {
        #expect(SearchText.isAbsolute(text) == isAbsolute)
    }

    @Test func `a query is encoded so that it comes back the same`() {
        #expect(SearchText.percentEncoded("a b&c=d+é|ä:/,*") == "a%20b%26c%3Dd%2B%C3%A9%7C%C3%A4:/,*")
    }
}
