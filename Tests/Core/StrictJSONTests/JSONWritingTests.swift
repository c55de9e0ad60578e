import StrictJSON
import Testing

@Suite struct JSONWritingTests {
    @Test func `the writer places commas and escapes text`() throws {
        var json = JSONWriter()
        json.object {
            $0.member("id", "a\"b\\c\n\u{1}中𠀀")
            $0.member("none", nil as String?)
            $0.member("count", 3)
            $0.member("ok", true)
            $0.arrayMember("list") {
                $0.integer(-1)
                $0.null()
                $0.raw(Array("{\"x\":1.00}".utf8))
                $0.object { _ in }
                $0.array { _ in }
            }
            $0.member("inner") { $0.member("y", "z") }
        }
        let expected =
            #"{"id":"a\"b\\c\n\u0001中𠀀","count":3,"ok":true,"list":[-1,null,{"x":1.00},{},[]],"inner":{"y":"z"}}"#
        #expect(String(decoding: json.bytes, as: UTF8.self) == expected)
        #expect(try JSONDocument(json.bytes).root["id"]?.string == "a\"b\\c\n\u{1}中𠀀")
    }

    @Test(arguments: [
        (#"{"a":1,"b":2,"c":3}"#, ["a"], #"{"b":2,"c":3}"#), (#"{"a":1,"b":2,"c":3}"#, ["b"], #"{"a":1,"c":3}"#),
        (#"{"a":1,"b":2,"c":3}"#, ["c"], #"{"a":1,"b":2}"#), (#"{"a":1,"b":2,"c":3}"#, ["a", "b"], #"{"c":3}"#),
        (#"{"a":1,"b":2,"c":3}"#, ["b", "c"], #"{"a":1}"#), (#"{"a":1,"b":2,"c":3}"#, ["a", "c"], #"{"b":2}"#),
        (#"{ "a" : 1 , "b" : 2 }"#, ["a", "b"], #"{  }"#), (#"{"a":1}"#, ["x"], #"{"a":1}"#),
    ])
    func `members are removed with their commas`(_ text: String, _ keys: [String], _ expected: String) throws {
        let document = try JSONDocument(Array(text.utf8))
        var splice = JSONSplice(document)
        splice.edit(document.root, removing: keys)
        #expect(String(decoding: splice.apply(), as: UTF8.self) == expected)
    }

    @Test(arguments: [
        (#"{"a":1,"b":2}"#, ["a"], #"{"b":9,"n":0}"#), (#"{"a":1}"#, ["a"], #"{"b":9,"n":0}"#),
        (#"{}"#, [], #"{"b":9,"n":0}"#), (#"{"b":[1]}"#, [], #"{"b":9,"n":0}"#),
    ])
    func `members are set in their place or at the end`(_ text: String, _ keys: [String], _ expected: String) throws {
        let document = try JSONDocument(Array(text.utf8))
        var splice = JSONSplice(document)
        splice.edit(document.root, removing: keys, setting: [("b", Array("9".utf8)), ("n", Array("0".utf8))])
        #expect(String(decoding: splice.apply(), as: UTF8.self) == expected)
    }

    @Test func `edits in several places leave the rest byte for byte`() throws {
        let text = #"{ "x":1.00, "refs":["urn:a","urn:b"],  "tail":"é" }"#
        let document = try JSONDocument(Array(text.utf8))
        let refs = Array(try #require(document.root["refs"]).elements)
        var splice = JSONSplice(document)
        splice.replace(refs[1], with: Array("\"B/2\"".utf8))
        splice.replace(refs[0], with: Array("\"A/1\"".utf8))
        #expect(String(decoding: splice.apply(), as: UTF8.self) == #"{ "x":1.00, "refs":["A/1","B/2"],  "tail":"é" }"#)
    }
}
