import ClinicalData
import StrictJSON
import Testing

struct StorePatchTests {
    private func patched(_ document: String, _ patch: String) throws -> String {
        let patch = try JSONPatch(parsing: JSONDocument(Array(patch.utf8)))
        return String(decoding: try patch.apply(to: JSONDocument(Array(document.utf8))), as: UTF8.self)
    }

    // The examples of RFC 7396, appendix A, whose targets and patches are objects.
    @Test(arguments: [
        (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
        (#"{"a":"b"}"#, #"{"a":null}"#, "{}"), (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#),
        (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
        (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
        (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#), (#"{"e":null}"#, #"{"a":1}"#, #"{"e":null,"a":1}"#),
        ("{}", #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
        (#"{"n": 1.50, "m": {"x" : 1}}"#, #"{"a":2.0}"#, #"{"n":1.50,"m":{"x" : 1},"a":2.0}"#),
    ])
    func `a merge patch replaces and removes members`(_ target: String, _ patch: String, _ expected: String) throws {
        let patch = try #require(JSONMergePatch(parsing: JSONDocument(Array(patch.utf8))))
        #expect(String(decoding: patch.apply(to: try JSONDocument(Array(target.utf8))), as: UTF8.self) == expected)
    }

    @Test(arguments: ["[]", "1", "null", #""a""#])
    func `a merge patch is an object`(_ patch: String) throws {
        #expect(JSONMergePatch(parsing: try JSONDocument(Array(patch.utf8))) == nil)
    }

    // The examples of RFC 6902, appendix A, and RFC 6901.
    @Test(arguments: [
        (#"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz","value":"qux"}]"#, #"{"foo":"bar","baz":"qux"}"#),
        (#"{"foo":["bar","baz"]}"#, #"[{"op":"add","path":"/foo/1","value":"qux"}]"#, #"{"foo":["bar","qux","baz"]}"#),
        (#"{"baz":"qux","foo":"bar"}"#, #"[{"op":"remove","path":"/baz"}]"#, #"{"foo":"bar"}"#),
        (#"{"foo":["bar","qux","baz"]}"#, #"[{"op":"remove","path":"/foo/1"}]"#, #"{"foo":["bar","baz"]}"#),
        (
            #"{"baz":"qux","foo":"bar"}"#, #"[{"op":"replace","path":"/baz","value":"boo"}]"#,
            #"{"baz":"boo","foo":"bar"}"#
        ),
        (
            #"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
            #"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
            #"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#
        ),
        (
            #"{"foo":["all","grass","cows","eat"]}"#, #"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
            #"{"foo":["all","cows","eat","grass"]}"#
        ),
        (
            #"{"baz":"qux","foo":["a",2,"c"]}"#,
            #"[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2.0}]"#,
            #"{"baz":"qux","foo":["a",2,"c"]}"#
        ),
        (#"{"foo":"bar"}"#, #"[{"op":"add","path":"/child","value":{"g":{}}}]"#, #"{"foo":"bar","child":{"g":{}}}"#),
        (#"{"/":9,"~1":10}"#, #"[{"op":"test","path":"/~01","value":10}]"#, #"{"/":9,"~1":10}"#),
        (
            #"{"foo":["bar"]}"#, #"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
            #"{"foo":["bar",["abc","def"]]}"#
        ),
        (#"{"a":1.00}"#, #"[{"op":"copy","from":"/a","path":"/b"}]"#, #"{"a":1.00,"b":1.00}"#),
        (#"{"a":1}"#, #"[{"op":"replace","path":"","value":{"b":2}}]"#, #"{"b":2}"#),
        (
            #"{"a":{"x":1,"y":[1.0]}}"#, #"[{"op":"test","path":"/a","value":{"y":[1],"x":1e0}}]"#,
            #"{"a":{"x":1,"y":[1.0]}}"#
        ),
    ])
    func `operations do what the specification says`(_ document: String, _ patch: String, _ expected: String) throws {
        #expect(try patched(document, patch) == expected)
    }

    @Test(arguments: [
        (#"{"baz":"qux"}"#, #"[{"op":"test","path":"/baz","value":"bar"}]"#),
        (#"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz/bat","value":"qux"}]"#),
        (#"{"foo":"bar"}"#, #"[{"op":"remove","path":"/baz"}]"#),
        (#"{"foo":[1]}"#, #"[{"op":"remove","path":"/foo/01"}]"#),
        (#"{"foo":[1]}"#, #"[{"op":"add","path":"/foo/2","value":1}]"#),
        (#"{"foo":[1]}"#, #"[{"op":"replace","path":"/foo/-","value":1}]"#),
        (#"{"foo":{"a":1}}"#, #"[{"op":"move","from":"/foo","path":"/foo/a"}]"#),
        (#"{"foo":1}"#, #"[{"op":"add","path":"foo","value":1}]"#),
        (#"{"foo":1}"#, #"[{"op":"add","path":"/foo"}]"#),
        (#"{"foo":1}"#, #"[{"op":"spam","path":"/foo"}]"#),
        (#"{"foo":1}"#, #"[{"path":"/foo"}]"#),
        (#"{"foo":1}"#, #"{"op":"remove","path":"/foo"}"#),
        (#"{"foo":1}"#, #"[{"op":"test","path":"/foo","value":"1"}]"#),
    ])
    func `what does not fit is refused`(_ document: String, _ patch: String) {
        #expect(throws: JSONPatch.Failure.self) { try patched(document, patch) }
    }
}
