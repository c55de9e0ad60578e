import CloudIdentity
import Testing

@Suite struct ClientAssertionTests {
    private typealias Shop = TokenWorkshop

    @Test(arguments: BadAssertion.all)
    func `a bad assertion is refused for its reason`(_ bad: BadAssertion) {
        #expect { try Shop.check(bad.text) } throws: { error in
            (error as? IdentityError)?.code == bad.code
        }
    }

    @Test func `there are at least 120 bad assertions and their names differ`() {
        #expect(BadAssertion.all.count >= 120)
        #expect(Set(BadAssertion.all.map(\.name)).count == BadAssertion.all.count)
    }

    @Test(arguments: BadAssertion.all)
    func `no refusal quotes the assertion`(_ bad: BadAssertion) {
        do {
            _ = try Shop.check(bad.text)
            Issue.record("not refused")
        } catch {
            for part in bad.text.split(separator: ".") where part.utf8.count > 20 {
                #expect(!error.description.contains(part))
            }
        }
    }

    @Test func `ES384 and RS384 assertions are accepted`() throws {
        #expect(try Shop.check(Shop.assertion()).clientID == "client")
        #expect(try Shop.check(Shop.assertion(signer: .rsa)).tokenID == "one")
    }

    @Test func `times within the leeway are accepted`() throws {
        let now = Shop.now
        for claims in [["exp": "\(now - 4)"], ["exp": "\(now + 305)"], ["nbf": "\(now + 5)"], ["iat": "\(now + 5)"]] {
            _ = try Shop.check(Shop.assertion(claims: claims))
        }
    }

    @Test func `an audience in an array of one is accepted`() throws {
        _ = try Shop.check(Shop.assertion(claims: ["aud": "[\"\(Shop.audience)\"]"]))
    }

    @Test func `the registered jku is accepted and no other`() throws {
        let text = Shop.assertion(header: ["jku": #""https://client.example/jwks""#])
        _ = try Shop.check(text, keySetURL: "https://client.example/jwks")
        #expect(throws: IdentityError.self) { try Shop.check(text, keySetURL: "https://client.example/jwks/") }
        #expect(throws: IdentityError.self) { try Shop.check(text, keySetURL: nil) }
    }

    @Test func `practitioner and purpose are taken from the signed extension`() throws {
        let text = Shop.assertion(claims: [
            "extensions":
                #"{"hl7-b2b":{"version":"1","subject_id":"Practitioner/17","purpose_of_use":["urn:oid:2.16.840.1.113883.5.8#TREAT"]}}"#
        ])
        let assertion = try Shop.check(text)
        #expect(assertion.practitioner == "Practitioner/17")
        #expect(assertion.purposeOfUse == "TREAT")
    }

    @Test(arguments: [
        "1234567893", "urn:oid:2.16.840.1.113883.4.6#1234567893", "https://h.example/staff|17", "PractitionerRole/4",
        "https://h.example/fhir/Practitioner/17",
    ])
    func `a practitioner is an identifier or a reference`(_ subject: String) throws {
        let text = Shop.assertion(claims: [
            "extensions": #"{"hl7-b2b":{"version":"1","subject_id":"\#(subject)","organization_id":"urn:oid:1.2.3"}}"#
        ])
        let assertion = try Shop.check(text)
        #expect(assertion.practitioner == subject)
        #expect(assertion.organization == "urn:oid:1.2.3")
    }

    @Test func `what our own signer makes is accepted`() throws {
        let key = SigningKey.generate()
        let text = try key.assertion(
            clientID: "own", audience: Shop.audience, now: Shop.now, practitioner: "dr-1", purposeOfUse: "ETREAT")
        let assertion = try ClientAssertion(text, audience: Shop.audience, now: Shop.now)
        try assertion.verify(keys: JSONWebKeySet([key.publicKey]), keySetURL: nil)
        #expect(assertion.clientID == "own")
        #expect(assertion.practitioner == "dr-1")
        #expect(assertion.purposeOfUse == "ETREAT")
    }

    @Test func `a private key survives being written and read`() throws {
        let key = SigningKey.generate()
        let copy = try SigningKey(privateJSON: key.privateJSON)
        #expect(copy.publicKey.json == key.publicKey.json)
        #expect(!key.publicKey.json.contains("\"d\""))
    }
}
