import Crypto
import Foundation
import OperatorCommands
import Testing

struct PrivateFileTests {
    private func profile() -> ClientProfile {
        ClientProfile(
            tenant: "h1", clientID: "h1-system", tokenURL: "http://127.0.0.1:1/t/h1/oauth2/token",
            fhirBase: "http://127.0.0.1:1/t/h1/fhir", scope: "system/*.cruds", privateKey: .generate())
    }

    @Test func `a client file has mode 0600 and comes back equal`() throws {
        let temporary = try TemporaryDirectory()
        let written = profile()
        try written.write(to: temporary.path + "/c.json")
        #expect(try temporary.mode(of: "c.json") == 0o600)
        #expect(try ClientProfile.read(temporary.path + "/c.json") == written)
    }

    @Test(arguments: [0o644, 0o640, 0o604, 0o660])
    func `a key that others may read is refused`(mode: Int) throws {
        let temporary = try TemporaryDirectory()
        let path = temporary.path + "/c.json"
        try profile().write(to: path)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        #expect {
            try ClientProfile.read(path)
        } throws: { error in
            (error as? CommandFailure)?.message.contains("chmod 600") ?? false
        }
    }

    @Test func `a missing or damaged file says which`() throws {
        let temporary = try TemporaryDirectory()
        #expect(throws: CommandFailure.self) { try ClientProfile.read(temporary.path + "/none.json") }
        try DurableFile.write("{}", to: temporary.path + "/c.json", mode: 0o600)
        #expect {
            try ClientProfile.read(temporary.path + "/c.json")
        } throws: { error in
            (error as? CommandFailure)?.message.contains("damaged") ?? false
        }
    }

    @Test func `rewriting a file leaves nothing beside it`() throws {
        let temporary = try TemporaryDirectory()
        try DurableFile.write("one", to: temporary.path + "/f", mode: 0o640)
        try DurableFile.write("two", to: temporary.path + "/f", mode: 0o600)
        #expect(DurableFile.text(temporary.path + "/f") == "two")
        #expect(try temporary.mode(of: "f") == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: temporary.path) == ["f"])
    }

    @Test func `an assertion is signed by the key and lives for at most five minutes`() throws {
        let key = ClientKey.generate()
        let now = Date(timeIntervalSince1970: 1_800_000_000)
        let text = try ClientAssertion.make(
            clientID: "c", key: key, tokenURL: "http://h/token", practitioner: "Practitioner/1", purpose: "TREAT",
            now: now)
        let parts = text.split(separator: ".")
        try #require(parts.count == 3)
        let claims = try JSONValue(parsing: try decoded(parts[1]))
        #expect(claims[key: "iss"] == .string("c"))
        #expect(claims[key: "sub"] == .string("c"))
        #expect(claims[key: "aud"] == .string("http://h/token"))
        #expect(claims[key: "exp"] == .integer(1_800_000_240))
        #expect(claims[key: "extensions"]?[key: "hl7-b2b"]?[key: "subject_id"] == .string("Practitioner/1"))
        let signature = try P384.Signing.ECDSASignature(rawRepresentation: try decoded(parts[2]))
        let message = Data((parts[0] + "." + parts[1]).utf8)
        #expect(try key.signingKey().publicKey.isValidSignature(signature, for: message))
        let other = try ClientAssertion.make(clientID: "c", key: key, tokenURL: "http://h/token", now: now)
        #expect(try JSONValue(parsing: try decoded(other.split(separator: ".")[1]))[key: "jti"] != claims[key: "jti"])
    }

    private func decoded(_ text: Substring) throws -> Data {
        var base64 = text.replacing("-", with: "+").replacing("_", with: "/")
        while base64.count % 4 != 0 { base64 += "=" }
        return try #require(Data(base64Encoded: String(base64)))
    }
}
