import HTTPTypes
import Testing

@testable import CloudHTTP

@Suite struct EntityTagTests {
    @Test(arguments: [
        (#"W/"3""#, 3 as Int32?), (#""3""#, 3), ("3", 3), (#"W/"2", W/"3""#, 3), (#""abc""#, nil), (#"W/"4""#, nil),
    ])
    func `a condition matches by weak comparison`(_ text: String, _ version: Int32?) throws {
        let condition = try #require(EntityTagCondition(parsing: text))
        #expect(condition.matches(version: 3) == (version == 3))
    }

    @Test(arguments: ["", "W/3", #""3"#, #"W/"3" W/"4""#, #"w/"3""#, "abc", "-1"])
    func `what is no entity tag is refused`(_ text: String) {
        #expect(EntityTagCondition(parsing: text) == nil)
    }

    @Test func `a star matches only what exists`() throws {
        let any = try #require(EntityTagCondition(parsing: " * "))
        #expect(any.matches(version: 1))
        #expect(!any.matches(version: nil))
    }

    @Test func `a version is written as FHIR writes it`() {
        #expect(EntityTag(version: 12).description == #"W/"12""#)
    }
}

@Suite struct HTTPDateTests {
    @Test(arguments: [
        (0 as Int64, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
    ])
    func `a time has one form and reads back`(_ seconds: Int64, _ text: String) {
        #expect(HTTPDate.format(secondsSinceEpoch: seconds) == text)
        #expect(HTTPDate.parse(text) == seconds)
    }

    @Test(arguments: ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
    func `the obsolete forms are read`(_ text: String) {
        #expect(HTTPDate.parse(text) == 784_111_777)
    }

    @Test(arguments: [
        "", "now", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
    ])
    func `what is no date is refused`(_ text: String) {
        #expect(HTTPDate.parse(text) == nil)
    }
}

@Suite struct AcceptHeaderTests {
    static let offered = ["application/fhir+json", "application/json"]

    @Test(arguments: [
        (nil as String?, "application/fhir+json" as String?), ("", "application/fhir+json"),
        ("*/*", "application/fhir+json"), ("application/json", "application/json"),
        ("application/*;q=0.5, application/json", "application/json"),
        ("application/fhir+json;q=0.1, application/json;q=0.9", "application/json"),
        ("application/fhir+xml", nil), ("text/html, */*;q=0", nil),
        ("application/json;q=0, */*", "application/fhir+json"),
        ("application/fhir+json; fhirVersion=4.0", "application/fhir+json"),
    ])
    func `the best offer wins`(_ accept: String?, _ expected: String?) {
        #expect(AcceptHeader(parsing: accept).preferred(among: Self.offered) == expected)
    }
}

@Suite struct PreferencesTests {
    @Test func `preferences are read and unknown ones ignored`() {
        let preferences = Preferences(
            parsing: #"respond-async, return="minimal"; handling=lenient, return=representation"#)
        #expect(preferences.return == .minimal)
        #expect(preferences.handling == .lenient)
        #expect(Preferences(parsing: nil).return == nil)
    }
}

@Suite struct BearerTokenTests {
    @Test func `a bearer token is read whatever the scheme's case`() {
        #expect(BearerToken.parse("Bearer abc.def-_~+/=") == "abc.def-_~+/=")
        #expect(BearerToken.parse("bEaReR x") == "x")
    }

    @Test(arguments: [nil, "", "Bearer", "Bearer ", "Basic abc", "Bearer a b", "Bearer a\tb", "Bearer ä"] as [String?])
    func `anything else is no token`(_ header: String?) {
        #expect(BearerToken.parse(header) == nil)
    }

    @Test func `an endless token is refused unread`() {
        #expect(BearerToken.parse("Bearer " + String(repeating: "a", count: BearerToken.maximumBytes + 1)) == nil)
    }
}

@Suite struct RequestIDTests {
    @Test func `a well-formed id of the client is kept`() {
        #expect(RequestID.accepted("3f2b-_.:9") == "3f2b-_.:9")
    }

    @Test(arguments: ["", "a b", "a\nb", "ü", String(repeating: "a", count: 65)])
    func `any other is replaced`(_ id: String) {
        #expect(RequestID.accepted(id) == nil)
    }

    @Test func `made ids are different and acceptable`() {
        let ids = Set((0..<1000).map { _ in RequestID.make() })
        #expect(ids.count == 1000)
        #expect(ids.allSatisfy { RequestID.accepted($0) == $0 && $0.utf8.count == 26 })
    }
}

@Suite struct FieldNamesTests {
    @Test func `no name of ours fell back`() {
        let names: [HTTPField.Name] = [
            .requestID, .idempotencyKey, .prefer, .preferenceApplied, .ifNoneExist, .frameOptions, .referrerPolicy,
        ]
        #expect(Set(names).count == names.count)
        #expect(!names.contains(.trailer))
    }
}

@Suite struct IdempotencyKeyTests {
    @Test(arguments: ["a", "0f2c6e0e-5d0b-4c55-9a0a-3d2f3a4f1b11", String(repeating: "~", count: 255)])
    func `visible ASCII is a key`(_ text: String) throws {
        #expect(try IdempotencyKey(text).text == text)
    }

    @Test(arguments: ["", " ", "a b", "a\tb", "ä", String(repeating: "a", count: 256)])
    func `what is no key is refused by the name of its header`(_ text: String) {
        let problem = #expect(throws: Problem.self) { try IdempotencyKey(text) }
        #expect(problem?.code.name == "invalid-input")
        #expect(problem?.fields.map(\.pointer) == ["header:Idempotency-Key"])
    }
}
