import Testing

@testable import CloudHTTP

@Suite struct PercentCodingTests {
    @Test func `what is encoded decodes to itself`() throws {
        let text = "a b+c/ä€𠮷?&=%"
        let encoded = PercentCoding.encode(text)
        #expect(encoded.utf8.allSatisfy { $0 < 0x80 && $0 != 0x20 })
        #expect(try PercentCoding.decode(encoded.utf8, plusIsSpace: false) == text)
    }

    @Test(arguments: ["%", "%4", "%zz", "a%2", "%%20"])
    func `a broken escape is refused`(_ text: String) {
        #expect(throws: PercentCoding.Failure.brokenEscape) {
            try PercentCoding.decode(text.utf8, plusIsSpace: true)
        }
    }

    @Test func `bytes that are not UTF-8 are refused`() {
        #expect(throws: PercentCoding.Failure.invalidUTF8) {
            try PercentCoding.decode("%ff".utf8, plusIsSpace: false)
        }
    }

    @Test(arguments: ["%00", "a%01", "%7f", "%0a"])
    func `control characters have no place in a path`(_ text: String) {
        #expect(throws: PercentCoding.Failure.controlCharacter) {
            try PercentCoding.decode(text.utf8, plusIsSpace: false)
        }
    }

    @Test func `plus is a space in queries only`() throws {
        #expect(try PercentCoding.decode("a+b".utf8, plusIsSpace: true) == "a b")
        #expect(try PercentCoding.decode("a+b".utf8, plusIsSpace: false) == "a+b")
    }
}

@Suite struct HTTPQueryTests {
    @Test func `pairs keep their order and repetitions`() throws {
        let query = try HTTPQuery(parsing: "name=Wang&date=ge2000&date=le2001&&flag&a%3Db=c%26d+e")
        #expect(query.parameters.map(\.name) == ["name", "date", "date", "flag", "a=b"])
        #expect(query.all("date") == ["ge2000", "le2001"])
        #expect(query.only("date") == nil)
        #expect(query.only("flag") == "")
        #expect(query.first("a=b") == "c&d e")
    }

    @Test func `too many parameters are refused`() {
        let text = String(repeating: "a=1&", count: HTTPQuery.maximumParameters + 1)
        #expect(throws: HTTPQuery.Failure.tooManyParameters) { try HTTPQuery(parsing: text) }
    }

    @Test func `what cannot be decoded is named`() {
        #expect(throws: HTTPQuery.Failure.undecodable(.controlCharacter, parameter: "name")) {
            try HTTPQuery(parsing: "a=b&name=%00")
        }
        #expect(throws: HTTPQuery.Failure.undecodable(.brokenEscape, parameter: nil)) { try HTTPQuery(parsing: "%z=a") }
    }
}

@Suite struct RequestTargetTests {
    @Test func `a target splits into decoded segments and raw query`() throws {
        let target = try RequestTarget(parsing: "/t/h1/fhir/Patient/%E6%9D%8E?name=%41&x")
        #expect(target.segments == ["t", "h1", "fhir", "Patient", "李"])
        #expect(target.query == "name=%41&x")
        #expect(try RequestTarget(parsing: "/").segments == [])
        #expect(try RequestTarget(parsing: "/t/h1/fhir/").segments == ["t", "h1", "fhir"])
    }

    @Test(arguments: [
        "", "*", "x", "//a", "/a//b", "/a/../b", "/a/%2e%2e/b", "/a/./b", "/a%2fb", "/%00", "/%ff", "/a%",
    ])
    func `a target that could mean two things is refused`(_ text: String) {
        #expect(throws: PercentCoding.Failure.self) { try RequestTarget(parsing: text) }
    }
}
