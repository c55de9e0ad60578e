import Testing

@testable import CloudHTTP

@Suite struct ProblemTests {
    @Test func `a problem says what RFC 9457 asks and our code`() {
        let problem = Problem(
            .invalidInput, "two \"quoted\"\nlines", fields: [Problem.Field(pointer: "/name", detail: "is missing")])
        let text = String(decoding: problem.body(requestID: "r1", typeBase: "https://x/docs"), as: UTF8.self)
        #expect(
            text == #"{"type":"https://x/docs#invalid-input","#
                + #""title":"A field of the input is missing or has a value that is not allowed.","status":400,"#
                + #""detail":"two \"quoted\"\nlines","code":"invalid-input","requestId":"r1","#
                + #""errors":[{"pointer":"/name","detail":"is missing"}]}"#)
    }

    @Test(arguments: ProblemCode.all)
    func `every code has a status of its class and an outcome`(_ code: ProblemCode) {
        #expect((400..<600).contains(code.status))
        #expect(code.title.hasSuffix("."))
        let text = String(decoding: Problem(code).operationOutcome(requestID: "r1"), as: UTF8.self)
        #expect(text.hasPrefix(#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":""#))
        #expect(text.contains("(request r1)"))
    }

    @Test func `codes are unique`() {
        #expect(Set(ProblemCode.all.map(\.name)).count == ProblemCode.all.count)
    }
}

@Suite struct JSONTextTests {
    @Test func `control characters and quotes are escaped`() {
        #expect(JSONText.quoted("a\"b\\c\n\u{1}é") == #""a\"b\\c\n\u0001é""#)
    }
}
