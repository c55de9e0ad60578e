import StrictJSON
import Testing

/// What must be refused: the bytes, the code and the path named.
struct Refusal: CustomTestStringConvertible, Sendable {
    let bytes: [UInt8]
    let code: JSONError.Code
    let path: String

    init(_ text: String, _ code: JSONError.Code = .malformed, _ path: String = "") {
        self.init(bytes: Array(text.utf8), code, path)
    }

    init(bytes: [UInt8], _ code: JSONError.Code, _ path: String = "") {
        self.bytes = bytes
        self.code = code
        self.path = path
    }

    var testDescription: String { "\(code) \(String(decoding: bytes.prefix(40), as: UTF8.self))" }
}

/// A string with these bytes between the quotes.
private func quoted(_ bytes: UInt8...) -> [UInt8] { [0x22] + bytes + [0x22] }

private let grammar: [Refusal] = [
    Refusal(""), Refusal(" "), Refusal("{"), Refusal("}"), Refusal("["), Refusal("[1,", .malformed, "[0]"),
    Refusal("[1,]", .malformed, "[1]"),
    Refusal("[,1]", .malformed, "[0]"), Refusal("[1 2]", .malformed, "[0]"), Refusal("[1}", .malformed, "[0]"),
    Refusal("{\"a\"}", .malformed, "a"), Refusal("{\"a\":}", .malformed, "a"), Refusal("{\"a\":1,}", .malformed, "a"),
    Refusal("{\"a\":1]", .malformed, "a"), Refusal("{a:1}"), Refusal("{'a':1}"), Refusal("{1:1}"),
    Refusal("{\"a\" 1}", .malformed, "a"), Refusal("{\"a\":1 \"b\":2}", .malformed, "a"),
    Refusal("tru"), Refusal("True"), Refusal("nul"), Refusal("NaN"), Refusal("Infinity"), Refusal("undefined"),
    Refusal("truex", .trailingBytes), Refusal("01", .trailingBytes), Refusal("-"), Refusal("+1"), Refusal(".5"),
    Refusal("1."), Refusal("1.e5"), Refusal("1e"), Refusal("1e+"), Refusal("-01", .trailingBytes),
    Refusal("0x10", .trailingBytes), Refusal("1_000", .trailingBytes), Refusal("[-]", .malformed, "[0]"),
    Refusal("\"abc"), Refusal("\"\\"), Refusal("\"\\x41\""), Refusal("\"\\u12\""), Refusal("\"\\u12G4\""),
    Refusal("\"\\u\""), Refusal("\"a\nb\""), Refusal("\"a\tb\""), Refusal("'a'"),
    Refusal("1 2", .trailingBytes), Refusal("{} {}", .trailingBytes), Refusal("{}x", .trailingBytes),
    Refusal("// c\n1"), Refusal("[1]/**/", .trailingBytes), Refusal("\u{FEFF}1"),
]

private let text: [Refusal] = [
    Refusal("\"\\ud800\"", .loneSurrogate), Refusal("\"\\udc00\"", .loneSurrogate),
    Refusal("\"\\ud840x\"", .loneSurrogate), Refusal("\"\\ud840\\u0041\"", .loneSurrogate),
    Refusal("\"\\ud840\\ud840\"", .loneSurrogate), Refusal("{\"a\":[\"\\ud83d\"]}", .loneSurrogate, "a[0]"),
    Refusal("\"a\\u0000b\"", .nul), Refusal(bytes: quoted(0x61, 0), .nul),
    Refusal(bytes: quoted(0x80), .invalidUTF8), Refusal(bytes: quoted(0xC0, 0x80), .invalidUTF8),
    Refusal(bytes: quoted(0xC1, 0xBF), .invalidUTF8), Refusal(bytes: quoted(0xC3), .invalidUTF8),
    Refusal(bytes: quoted(0xE0, 0x80, 0x80), .invalidUTF8), Refusal(bytes: quoted(0xE4, 0xB8), .invalidUTF8),
    Refusal(bytes: quoted(0xED, 0xA0, 0x80), .invalidUTF8),
    Refusal(bytes: quoted(0xF0, 0x80, 0x80, 0x80), .invalidUTF8),
    Refusal(bytes: quoted(0xF4, 0x90, 0x80, 0x80), .invalidUTF8),
    Refusal(bytes: quoted(0xF5, 0x80, 0x80, 0x80), .invalidUTF8),
    Refusal(bytes: quoted(0xFF), .invalidUTF8), Refusal(bytes: [0x22, 0xE4, 0xB8], .invalidUTF8),
    Refusal(bytes: [0x5B, 0xC2, 0xA0, 0x5D], .malformed, "[0]"),
]

private let keys: [Refusal] = [
    Refusal("{\"a\":1,\"a\":2}", .duplicateKey, "a"), Refusal("{\"\":1,\"\":2}", .duplicateKey),
    Refusal("{\"name\":[{\"use\":1,\"b\":[],\"use\":2}]}", .duplicateKey, "name[0].use"),
    Refusal("{\"na\\u006de\":1,\"name\":2}", .duplicateKey, "name"),
    Refusal("{\"name\":1,\"b\":{},\"na\\u006de\":2}", .duplicateKey, "name"),
    Refusal("{" + (0..<500).map { "\"k\($0)\":\($0)," }.joined() + "\"k7\":1}", .duplicateKey, "k7"),
]

@Suite struct JSONDocumentTests {
    @Test(arguments: grammar + text + keys)
    func `what is not strict JSON is refused with code and path`(_ refusal: Refusal) {
        let error = #expect(throws: JSONError.self) { try JSONDocument(refusal.bytes) }
        #expect(error?.code == refusal.code)
        #expect(error?.path == refusal.path)
    }

    @Test func `the offset is that of the offending byte`() {
        let error = #expect(throws: JSONError.self) { try JSONDocument(Array("{\"a\": [1, x]}".utf8)) }
        #expect(error?.offset == 10)
        #expect(error?.message == "this is not JSON (byte 10, at a[1])")
    }

    @Test(arguments: ["[", "{\"a\":"])
    func `64 levels are allowed and 65 are not`(_ opening: String) throws {
        func nested(_ depth: Int) -> [UInt8] {
            let close = opening == "[" ? "]" : "}"
            return Array((String(repeating: opening, count: depth) + "1" + String(repeating: close, count: depth)).utf8)
        }
        _ = try JSONDocument(nested(64))
        let error = #expect(throws: JSONError.self) { try JSONDocument(nested(65)) }
        #expect(error?.code == .depth)
    }

    @Test func `limits on bytes, strings and values are kept`() throws {
        func code(_ text: String, _ limits: JSONLimits) -> JSONError.Code? {
            do throws(JSONError) {
                _ = try JSONDocument(Array(text.utf8), limits: limits)
                return nil
            } catch { return error.code }
        }
        #expect(code("[1,2]", JSONLimits(maximumBytes: 4)) == .tooLarge)
        #expect(code("[1,2]", JSONLimits(maximumBytes: 5)) == nil)
        #expect(code("\"abcd\"", JSONLimits(maximumStringBytes: 3)) == .stringTooLong)
        #expect(code("\"abc\"", JSONLimits(maximumStringBytes: 3)) == nil)
        let many = "[" + String(repeating: "0,", count: 999) + "0]"
        #expect(code(many, JSONLimits(maximumNodes: 500)) == .tooLarge)
    }

    @Test(arguments: [
        ("\"𠀀𪜶\"", "𠀀𪜶"), ("\"\\ud840\\udc00\"", "𠀀"), ("\"\\uD83D\\uDE00 😀\"", "😀 😀"),
        ("\"\\u0041\\n\\t\\r\\b\\f\\/\\\\\\\"\"", "A\n\t\r\u{8}\u{C}/\\\""), ("\"\\u00e9é\\u4e2d中\"", "éé中中"),
        ("\"\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}\"", "\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}"), ("\"\"", ""),
        ("\"0123456\u{7F}中文文本。 plain again\"", "0123456\u{7F}中文文本。 plain again"),
    ])
    func `rare characters and escapes give their text`(_ json: String, _ expected: String) throws {
        let document = try JSONDocument(Array(json.utf8))
        #expect(document.root.string == expected)
        #expect(document.root.stringIs(expected))
        #expect(!document.root.stringIs(expected + "x"))
    }

    @Test(arguments: ["0", "-0", "1.00", "-12.50", "1e5", "1E+05", "1.5e-300", "12345678901234567890.0123456789"])
    func `numbers keep their text`(_ number: String) throws {
        #expect(try JSONDocument(Array(number.utf8)).root.numberText == number)
        #expect(try JSONDocument(Array(" [ \(number) ] ".utf8)).root.elements.map(\.numberText) == [number])
    }

    @Test func `members and elements come in order and are found by key`() throws {
        let text = #" {"b" : [1, "x", null, {"c":true}, []], "\u0061":{"d":false}, "":2 } "#
        let root = try JSONDocument(Array(text.utf8)).root
        #expect(root.kind == .object)
        #expect(root.count == 3)
        #expect(root.members.map(\.key) == ["b", "a", ""])
        #expect(root["a"]?["d"]?.bool == false)
        #expect(root[""]?.integer == 2)
        #expect(root["c"] == nil)
        let elements = Array(try #require(root["b"]).elements)
        #expect(elements.map(\.kind) == [.number, .string, .null, .object, .array])
        #expect(elements[3]["c"]?.bool == true)
        #expect(elements[4].elements.map(\.kind) == [])
        #expect(Array(elements[3].rawBytes) == Array(#"{"c":true}"#.utf8))
    }

    @Test func `an object with many keys is accepted and every key is found`() throws {
        let text = "{" + (0..<2000).map { "\"key\($0)\":\($0)" }.joined(separator: ",") + "}"
        let root = try JSONDocument(Array(text.utf8)).root
        #expect(root.count == 2000)
        let found = (0..<2000).map { root["key\($0)"]?.integer }
        #expect(found == Array(0..<2000))
    }

    @Test func `every prefix of a document is refused`() throws {
        let text = #"{"a":[1.5e3,"中\u00e9\ud840\udc00",{"b":null}],"c":{"d":true}}"#
        let bytes = Array(text.utf8)
        _ = try JSONDocument(bytes)
        for count in 0..<bytes.count {
            #expect(throws: JSONError.self) { try JSONDocument(Array(bytes.prefix(count))) }
        }
    }
}
