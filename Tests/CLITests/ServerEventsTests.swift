import OperatorCommands
import Testing

@Suite struct ServerEventsTests {
    private typealias Event = ServerEvents.Event

    private static let text = """
        retry: 1000

        : alive

        id: 1
        event: progress
        data: {"a":
        data: 1}

        data:plain
        id: 2
        unknown: x

        event: nothing

        event: end\r
        data: last\r
        \r

        """

    private static let events = [
        ServerEvents.Event(name: "progress", id: "1", data: "{\"a\":\n1}"),
        ServerEvents.Event(name: "message", id: "2", data: "plain"),
        ServerEvents.Event(name: "end", id: "2", data: "last"),
    ]

    @Test func `events are read with their names, ids and lines`() {
        var reader = ServerEvents()
        #expect(reader.read(Self.text.utf8) == Self.events)
    }

    @Test func `they may come in pieces of any size`() {
        let bytes = Array(Self.text.utf8)
        for size in 1...9 {
            var reader = ServerEvents()
            var events: [Event] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                events += reader.read(bytes[start..<min(start + size, bytes.count)])
            }
            #expect(events == Self.events)
        }
    }

    @Test func `an event that is not complete is none`() {
        var reader = ServerEvents()
        #expect(reader.read("event: end\ndata: x\n".utf8) == [])
        #expect(reader.read("\n".utf8).count == 1)
    }

    @Test(arguments: [
        (
            #"{"phase":"running","percent":40,"step":"create-database","message":null}"#,
            "[########------------]  40 %  create-database"
        ),
        (
            #"{"phase":"running","percent":5,"step":"wait","message":"it boots"}"#,
            "[#-------------------]   5 %  wait: it boots"
        ),
        (#"{"phase":"undoing","percent":40,"step":"make"}"#, "[########------------]  40 %  undoing  make"),
        (#"{"phase":"succeeded","percent":100,"step":"make"}"#, "[####################] 100 %  succeeded"),
        (#"{}"#, "[--------------------]   0 %  "),
    ])
    func `a bar shows how far it is and what is being done`(_ json: String, _ line: String) throws {
        #expect(OperationProgress.line(try JSONValue(parsing: json.utf8)) == line)
    }

    @Test func `how an operation ended decides the exit code`() throws {
        func code(_ json: String) throws -> CommandFailure.Code? {
            OperationProgress.failure(of: try JSONValue(parsing: json.utf8))?.code
        }
        #expect(try code(#"{"phase":"succeeded"}"#) == nil)
        #expect(try code(#"{"phase":"cancelled","kind":"tenant.create","subject":"h1","error":null}"#) == .refused)
        #expect(try code(#"{"phase":"failed","error":{"code":"no-room","message":"no room"}}"#) == .failed)
    }
}
