import OperatorCommands
import Testing

struct RendererTests {
    private let items: [JSONValue] = [
        .object(["id": .string("h1"), "name": .string("One"), "cell": .object(["id": .string("cell-1")])]),
        .object(["id": .string("hospital-2"), "name": .string("Two: 2"), "ready": .bool(true)]),
    ]

    private func renderer(_ format: OutputFormat) -> Renderer {
        Renderer(format: format, columns: [.init("ID", "id"), .init("NAME", "name"), .init("CELL", "cell.id")])
    }

    @Test func `a table lines its columns up`() {
        #expect(
            renderer(.table).list(items) == """
                ID          NAME    CELL
                h1          One     cell-1
                hospital-2  Two: 2  
                """)
    }

    @Test func `sizes have a unit for people and none for programs`() {
        let item = JSONValue.object(["id": .string("a"), "spec": .object(["memory": .integer(96 << 20)])])
        let columns: [Renderer.Column] = [.init("NAME", "id"), .init("MEMORY", "spec.memory", isSize: true)]
        #expect(Renderer(format: .table, columns: columns).list([item]) == "NAME  MEMORY\na     96MiB")
        #expect(Renderer(format: .table, columns: columns).object(item).hasSuffix("96MiB"))
        #expect(Renderer(format: .json, columns: columns).list([item]).contains("100663296"))
    }

    @Test func `names are one a line`() {
        #expect(renderer(.name).list(items) == "h1\nhospital-2")
        #expect(renderer(.name).list([]).isEmpty)
    }

    @Test func `JSON is the data itself`() throws {
        #expect(try JSONValue(parsing: renderer(.json).list(items).utf8) == .array(items))
    }

    @Test func `YAML quotes what could be read as something else`() {
        let value = JSONValue.object([
            "text": .string("yes"), "colon": .string("a: b"), "plain": .string("a b"), "number": .integer(3),
            "list": .array([.string("x"), .object(["k": .string("1")])]), "none": .null, "empty": .array([]),
        ])
        #expect(
            YAMLText.document(value)
                == """
                colon: "a: b"
                empty: []
                list:
                  - x
                  - k: "1"
                "none": null
                number: 3
                plain: a b
                text: "yes"
                """.replacing("\"none\"", with: "none"))
    }

    @Test func `exported JSON loses its white space and nothing else`() {
        let text = #"{ "a" : [ 1.00 , "two  \" spaces" ] ,\#n\#t"b" : "\\" }"#
        #expect(
            String(decoding: CompactJSON.withoutSpace(text.utf8), as: UTF8.self)
                == #"{"a":[1.00,"two  \" spaces"],"b":"\\"}"#)
    }

    @Test func `forms are escaped by RFC 3986`() {
        #expect(FormText.encode([("a b", "ü&="), ("c", "-._~")]) == "a%20b=%C3%BC%26%3D&c=-._~")
    }

    @Test(arguments: [
        (401, CommandFailure.Code.unauthorized), (404, .notFound), (409, .refused), (412, .refused), (400, .usage),
        (422, .usage), (500, .failed), (503, .unreachable),
    ])
    func `a problem becomes one line and an exit code`(status: Int, code: CommandFailure.Code) {
        let body =
            #"{"title":"T","detail":"It is so.","code":"conflict","errors":[{"pointer":"/id","detail":"taken"}]}"#
        let failure = PlatformAPI.failure(of: .init(status: status, headers: [], body: Array(body.utf8)))
        #expect(failure.code == code)
        let state = PlatformAPI.failure(
            of: .init(status: 422, headers: [], body: Array(#"{"detail":"no","code":"illegal-transition"}"#.utf8)))
        #expect(state.code == .refused)
        #expect(failure.message == "It is so. /id: taken [conflict: `medcloud explain conflict`]")
    }
}
