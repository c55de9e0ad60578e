import ApplicationRegistry
import CloudIdentity
import CloudModel
import StrictJSON
import TestSupport
import Testing

@Suite struct TokenEndpointTests {
    @Test func `a client gets a token that opens its tenant and names practitioner and purpose`() async throws {
        let worker = await Worker(try await .shared)
        let tenant = try await worker.region.makeTenant()
        let client = try await worker.makeClient(in: tenant)
        let answer = await worker.server.token(
            .form([
                "client_assertion": try client.assertion(practitioner: "Practitioner/9", purposeOfUse: "TREAT"),
                "scope": "system/Patient.rs system/Observation.read",
            ]), of: tenant)
        #expect(answer.status == 200)
        #expect(try answer.text("token_type") == "bearer")
        #expect(try answer.member("expires_in")?.integer == 300)
        #expect(try answer.text("scope") == "system/Patient.rs system/Observation.read")
        #expect(answer.headers.contains { $0.name == "Cache-Control" && $0.value == "no-store" })
        let verified = try await worker.verifier.verify(try answer.text("access_token"))
        #expect(verified.access == TenantAccess(minting: tenant, origin: .token))
        #expect(verified.principal.practitioner == "Practitioner/9")
        #expect(verified.principal.purposeOfUse == "TREAT")
        #expect(!verified.principal.scopes.allows(.create, on: "Patient"))
    }

    @Test func `without a scope the registered one is given`() async throws {
        let worker = await Worker(try await .shared)
        let client = try await worker.makeClient(in: try await worker.region.makeTenant(), scope: "system/Slot.rs")
        let answer = await worker.server.token(.form(["client_assertion": try client.assertion()]), of: client.tenant)
        #expect(try answer.text("scope") == "system/Slot.rs")
    }

    @Test func `an assertion is good once, at every worker and in every later one`() async throws {
        let first = await Worker(try await .shared)
        let second = await Worker(first.region)
        let client = try await first.makeClient(in: try await first.region.makeTenant())
        let form = OAuthRequest.form(["client_assertion": try client.assertion()])
        #expect(await first.server.token(form, of: client.tenant).status == 200)
        for worker in [first, second, await Worker(first.region)] {
            let answer = await worker.server.token(form, of: client.tenant)
            #expect(answer.status == 401)
            #expect(answer.error == "invalid_client")
        }
    }

    @Test func `of many who show one assertion at the same time one gets a token`() async throws {
        let first = await Worker(try await .shared)
        let second = await Worker(first.region)
        let client = try await first.makeClient(in: try await first.region.makeTenant())
        let form = OAuthRequest.form(["client_assertion": try client.assertion()])
        let good = await withTaskGroup(of: Bool.self) { group in
            for index in 0..<24 {
                group.addTask {
                    await (index.isMultiple(of: 2) ? first : second).server.token(form, of: client.tenant).status == 200
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(good == 1)
    }

    @Test func `another tenant's client, and one tenant's assertion at another, are refused`() async throws {
        let worker = await Worker(try await .shared)
        let h1 = try await worker.region.makeTenant()
        let h2 = try await worker.region.makeTenant()
        let client = try await worker.makeClient(in: h1)
        for audience in [worker.region.endpoints.token(h1), worker.region.endpoints.token(h2)] {
            let assertion = try client.key.assertion(
                clientID: client.id, audience: audience, now: IdentityClock.system.now())
            let answer = await worker.server.token(.form(["client_assertion": assertion]), of: h2)
            #expect(answer.status == 401)
            #expect(answer.error == "invalid_client")
        }
        let nowhere = TenantID("nowhere")!
        let assertion = try client.key.assertion(
            clientID: client.id, audience: worker.region.endpoints.token(nowhere), now: IdentityClock.system.now())
        #expect(await worker.server.token(.form(["client_assertion": assertion]), of: nowhere).status == 401)
    }

    private static let refusals: [(String, [String: String?], Int, String)] = [
        ("no grant type", ["grant_type": nil], 400, "invalid_request"),
        ("empty grant type", ["grant_type": ""], 400, "invalid_request"),
        ("password grant", ["grant_type": "password"], 400, "unsupported_grant_type"),
        ("code grant", ["grant_type": "authorization_code"], 400, "unsupported_grant_type"),
        ("refresh", ["grant_type": "refresh_token"], 400, "unsupported_grant_type"),
        ("no assertion type", ["client_assertion_type": nil], 401, "invalid_client"),
        (
            "SAML assertion", ["client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"],
            401, "invalid_client"
        ),
        ("no assertion", ["client_assertion": nil], 401, "invalid_client"),
        ("empty assertion", ["client_assertion": ""], 401, "invalid_client"),
        ("rubbish", ["client_assertion": "a.b.c"], 401, "invalid_client"),
        ("client secret", ["client_secret": "x"], 401, "invalid_client"),
        ("another client_id", ["client_id": "other"], 401, "invalid_client"),
        ("more than registered", ["scope": "system/*.rs"], 400, "invalid_scope"),
        ("another permission", ["scope": "system/Patient.c"], 400, "invalid_scope"),
        ("user scope", ["scope": "user/Patient.rs"], 400, "invalid_scope"),
        ("granular scope", ["scope": "system/Patient.rs?gender=male"], 400, "invalid_scope"),
        ("rubbish scope", ["scope": "openid"], 400, "invalid_scope"),
    ]

    @Test(arguments: refusals.indices)
    func `a bad token request gets the error that RFC 6749 names`(_ index: Int) async throws {
        let (name, changes, status, code) = Self.refusals[index]
        let worker = await Worker(try await .shared)
        let client = try await worker.makeClient(in: try await worker.region.makeTenant(), scope: "system/Patient.rs")
        var fields: [String: String?] = ["client_assertion": try client.assertion()]
        fields.merge(changes) { $1 }
        let answer = await worker.server.token(.form(fields), of: client.tenant)
        #expect(answer.status == status, "\(name)")
        #expect(answer.error == code, "\(name)")
    }

    @Test(arguments: [
        ("grant_type=client_credentials&grant_type=client_credentials", "application/x-www-form-urlencoded"),
        ("grant_type=client_credentials&scope=a&scope=b", "application/x-www-form-urlencoded"),
        ("grant_type=client_credentials&%67rant_type=x", "application/x-www-form-urlencoded"),
        ("grant_type=%zz", "application/x-www-form-urlencoded"), ("grant_type=%e", "application/x-www-form-urlencoded"),
        ("grant_type=%ff", "application/x-www-form-urlencoded"), ("=x", "application/x-www-form-urlencoded"),
        ("", "application/x-www-form-urlencoded"), (#"{"grant_type":"client_credentials"}"#, "application/json"),
        ("grant_type=client_credentials", "text/plain"),
    ])
    func `a form that is not one is refused`(_ body: String, _ type: String) async throws {
        let worker = await Worker(try await .shared)
        let answer = await worker.server.token(OAuthRequest(body: Array(body.utf8), contentType: type), of: nil)
        #expect(answer.status == 400)
        #expect(answer.error == "invalid_request")
    }

    @Test func `a request with an Authorization header or a form without a type is refused`() async throws {
        let worker = await Worker(try await .shared)
        let form = OAuthRequest.form([:])
        let basic = OAuthRequest(body: form.body, contentType: form.contentType, hasAuthorization: true)
        #expect(await worker.server.token(basic, of: nil).status == 401)
        #expect(await worker.server.token(OAuthRequest(body: form.body, contentType: nil), of: nil).status == 400)
        let charset = OAuthRequest(body: form.body, contentType: "Application/X-WWW-Form-Urlencoded; charset=UTF-8")
        #expect(await worker.server.token(charset, of: nil).error == "invalid_client")
    }

    @Test func `who does not exist and who signs wrongly get the same answer`() async throws {
        let worker = await Worker(try await .shared)
        let client = try await worker.makeClient(in: try await worker.region.makeTenant())
        let stranger = TestClient(
            id: client.id, tenant: client.tenant, key: .generate(), endpoints: worker.region.endpoints)
        let nobody = TestClient(
            id: "nobody", tenant: client.tenant, key: .generate(), endpoints: worker.region.endpoints)
        var bodies: Set<[UInt8]> = []
        for other in [stranger, nobody] {
            let answer = await worker.server.token(
                .form(["client_assertion": try other.assertion()]), of: client.tenant)
            #expect(answer.status == 401)
            bodies.insert(answer.body)
        }
        #expect(bodies.count == 1)
    }
}
