import CloudHTTP
import Foundation
import Testing

@testable import Gateway

@Suite struct ScannedReadTests {
    private static let fields = "Host: x\r\nAuthorization: Bearer h1\r\n"

    private static func scan(_ text: String) -> ScannedRead? {
        Array(text.utf8).withUnsafeBytes { ScannedRead($0) }
    }

    @Test func `a plain read is understood, whatever follows it`() throws {
        let head =
            "GET /t/h1/fhir/Patient/b-1.2 HTTP/1.1\r\nhOST: x\r\nuser-agent: a b\r\nAccept: application/fhir+json\r\n"
            + "Connection: Keep-Alive\r\nX-Request-ID:  abc\r\nAuthorization: bearer tok.en\r\n\r\n"
        let text = head + "POST /"
        let read = try #require(Self.scan(text))
        let bytes = Array(text.utf8)
        func part(_ range: Range<Int>?) -> String? { range.map { String(decoding: bytes[$0], as: UTF8.self) } }
        #expect(read.length == head.utf8.count)
        #expect(part(read.tenant) == "h1" && part(read.type) == "Patient" && part(read.id) == "b-1.2")
        #expect(part(read.token) == "tok.en" && part(read.requestID) == "abc")
    }

    @Test(arguments: [
        "GET /t/h1/fhir/Patient/1 HTTP/1.1\r\n\(fields)", "GET /t/h1/fhir/Patient/1 HTTP/1.0\r\n\(fields)\r\n",
        "HEAD /t/h1/fhir/Patient/1 HTTP/1.1\r\n\(fields)\r\n", "get /t/h1/fhir/Patient/1 HTTP/1.1\r\n\(fields)\r\n",
        "GET /t/h1/fhir/Patient/1?_format=json HTTP/1.1\r\n\(fields)\r\n",
        "GET /t/h1/fhir/Patient/%31 HTTP/1.1\r\n\(fields)\r\n", "GET /t/h1/fhir/Patient/.. HTTP/1.1\r\n\(fields)\r\n",
        "GET /t/h1/fhir/Patient/1/_history HTTP/1.1\r\n\(fields)\r\n",
        "GET /t/h1/fhir/metadata HTTP/1.1\r\n\(fields)\r\n",
        "GET /t/h1/fhir/Patient/\(String(repeating: "a", count: 65)) HTTP/1.1\r\n\(fields)\r\n",
        "GET /t//fhir/Patient/1 HTTP/1.1\r\n\(fields)\r\n", "GET  /t/h1/fhir/Patient/1 HTTP/1.1\r\n\(fields)\r\n",
        "GET /t/h1/fhir/Patient/1 HTTP/1.1\n\(fields)\r\n", "\r\nGET /t/h1/fhir/Patient/1 HTTP/1.1\r\n\(fields)\r\n",
    ])
    func `another request line is the decoder's`(text: String) {
        #expect(Self.scan(text) == nil)
    }

    @Test(arguments: [
        "Content-Length: 0", "Content-Length: 5", "Transfer-Encoding: chunked", "Expect: 100-continue",
        "If-None-Match: W/\"1\"", "Range: bytes=0-1", "Origin: https://a.example", "Upgrade: h2c", "Connection: close",
        "Accept: application/xml", "X-Unknown: a", "Host: y", "Authorization: Bearer h2", "Bad Name: a", "Pragma : a",
        "Pragma: a\u{7F}", "Pragma: ä", "Pragma: a\n", "Pragma: a\rb", "Pragma:", "Pragma: a ", " folded",
        "Pragma: a\u{0}",
    ])
    func `a field that asks for more, or is not plain, is the decoder's`(field: String) {
        #expect(Self.scan("GET /t/h1/fhir/Patient/1 HTTP/1.1\r\n\(Self.fields)\(field)\r\n\r\n") == nil)
    }

    @Test(arguments: [
        "Host: x\r\n", "Authorization: Bearer h1\r\n", "Host: x\r\nAuthorization: Basic h1\r\n",
        "Host: x\r\nAuthorization: Bearer \r\n", "Host: x\r\nAuthorization: Bearer  h1\r\n",
    ])
    func `a head without host and bearer token is the decoder's`(fields: String) {
        #expect(Self.scan("GET /t/h1/fhir/Patient/1 HTTP/1.1\r\n\(fields)\r\n") == nil)
    }

    @Test func `every prefix of a head is the decoder's`() {
        let head = "GET /t/h1/fhir/Patient/1 HTTP/1.1\r\n\(Self.fields)\r\n"
        for count in 0..<head.utf8.count {
            #expect(Self.scan(String(decoding: head.utf8.prefix(count), as: UTF8.self)) == nil)
        }
        #expect(Self.scan(head) != nil)
        let long = head.replacing("Host: x", with: "Pragma: " + String(repeating: "a", count: 8192) + "\r\nHost: x")
        #expect(Self.scan(long) == nil)
    }

    // MARK: On a connection

    private static func head(_ path: String, _ extra: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer h1\r\n\(extra)\r\n"
    }

    @Test func `reads by either way answer alike and in order on one connection`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let heard = try await RawClient.connect(to: gateway.port) { connection in
                var count = 0
                func ask(_ text: String) async throws {
                    count += 1
                    for piece in text.split(separator: "|", omittingEmptySubsequences: false) {
                        try await connection.say(String(piece))
                        if text.contains("|") { try await Task.sleep(for: .milliseconds(20)) }
                    }
                    let wanted = count
                    try await connection.hear { $0.components(separatedBy: "HTTP/1.1 ").count > wanted }
                    try await Task.sleep(for: .milliseconds(20))
                }
                try await ask(Self.head("/t/h1/fhir/Patient/1"))
                // In two packets: the decoder's.
                try await ask("GET /t/h1/fhir/Pat|ient/2 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer h1\r\n\r\n")
                try await ask(Self.head("/t/h1/fhir/Patient/3"))
                // A body that looks like a read is a body.
                let body = Self.head("/t/h1/fhir/Patient/99")
                try await ask(
                    "POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n|" + body)
                try await ask(Self.head("/t/h1/fhir/Patient/4"))
                try await ask(Self.head("/t/h1/fhir/Patient?n=5"))
                try await ask(Self.head("/t/h1/fhir/Patient/6"))
                return try await connection.hear { $0.contains("hot Patient/6") }
            }
            let answers = heard.components(separatedBy: "HTTP/1.1 ").dropFirst()
            let marks = [
                "hot Patient/1", "hot Patient/2", "hot Patient/3", "Host: x", "hot Patient/4", "n=5", "hot Patient/6",
            ]
            #expect(answers.count == marks.count)
            for (answer, mark) in zip(answers, marks) { #expect(answer.contains(mark), "\(mark)") }
            func fields(_ answer: String) -> [String] {
                answer.components(separatedBy: "\r\n\r\n")[0].components(separatedBy: "\r\n")
                    .map { $0.hasPrefix("X-Request-Id") ? "X-Request-Id" : $0 }.sorted()
            }
            let hot = answers.filter { $0.contains("hot Patient") }.map(fields)
            #expect(hot.allSatisfy { $0 == hot.first })
        }
    }

    @Test func `a body with an empty line at its end does not hide a read behind it`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let read = Self.head("/t/h1/fhir/Patient/99")
            let heard = try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say(
                    "POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: \(4 + read.utf8.count)\r\n\r\n\r\n\r\n")
                try await Task.sleep(for: .milliseconds(50))
                try await connection.say(read)
                return try await connection.hear { RawAnswer.isComplete($0) }
            }
            #expect(!heard.contains("hot Patient") && heard.hasSuffix(read))
        }
    }
}
