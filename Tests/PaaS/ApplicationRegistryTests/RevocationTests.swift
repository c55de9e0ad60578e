import ApplicationRegistry
import CloudIdentity
import CloudModel
import StrictJSON
import TenantRegistry
import TestSupport
import Testing

@Suite struct RevocationTests {
    /// Runs a worker's feed while `body` runs.
    private func withFeed<R>(of worker: Worker, _ body: () async throws -> R) async throws -> R {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.feed.run() }
            let result = try await body()
            group.cancelAll()
            return result
        }
    }

    /// How long until the worker forgets the token; more than a second is a failure.
    private func timeUntilForgotten(_ token: String, by worker: Worker) async throws -> Duration {
        let start = ContinuousClock.now
        while worker.verifier.cached(token) != nil, ContinuousClock.now - start < .seconds(3) {
            try await Task.sleep(for: .milliseconds(10))
        }
        return ContinuousClock.now - start
    }

    @Test func `a revoked token ends here at once and at the other worker within a second`() async throws {
        let first = await Worker(try await .shared)
        let second = await Worker(first.region)
        let client = try await first.makeClient(in: try await first.region.makeTenant())
        let token = try await first.token(client)
        let kept = try await first.token(client)
        _ = try await first.verifier.verify(token)
        for text in [token, kept] { _ = try await second.verifier.verify(text) }
        try await withFeed(of: second) {
            let answer = await first.server.revoke(
                .form(["token": token, "client_assertion": try client.assertion()]), of: client.tenant)
            #expect(answer.status == 200)
            #expect(first.verifier.cached(token) == nil)
            #expect(try await timeUntilForgotten(token, by: second) < .seconds(1))
        }
        for worker in [first, second, await Worker(first.region)] {
            await #expect(throws: IdentityError.self) { try await worker.verifier.verify(token) }
        }
        #expect(second.verifier.cached(kept) != nil)
    }

    @Test func `a disabled client gets no token, and its tokens end within a second`() async throws {
        let first = await Worker(try await .shared)
        let second = await Worker(first.region)
        let client = try await first.makeClient(in: try await first.region.makeTenant())
        let token = try await first.token(client)
        _ = try await second.verifier.verify(token)
        try await withFeed(of: second) {
            try await first.administration.disableClient(
                client.id, of: client.tenant, as: try await first.operatorPrincipal())
            #expect(try await timeUntilForgotten(token, by: second) < .seconds(1))
        }
        let answer = await first.server.token(.form(["client_assertion": try client.assertion()]), of: client.tenant)
        #expect(answer.status == 401)
        await #expect(throws: IdentityError.self) { try await second.verifier.verify(token) }
    }

    @Test func `the tokens of a deleted tenant end`() async throws {
        let worker = await Worker(try await .shared)
        let client = try await worker.makeClient(in: try await worker.region.makeTenant())
        let token = try await worker.token(client)
        _ = try await worker.verifier.verify(token)
        try await worker.administration.deleteTenant(client.tenant, as: try await worker.operatorPrincipal())
        await worker.feed.poll()
        #expect(worker.verifier.cached(token) == nil)
        await #expect(throws: IdentityError.self) { try await worker.verifier.verify(token) }
        #expect(try await worker.administration.settled(client.tenant, within: .seconds(20)) == nil)
        #expect(await worker.server.keySet(of: client.tenant).status == 404)
    }

    @Test func `a region client speaks for its institution and ends with it`() async throws {
        let worker = await Worker(try await .shared)
        let institution = try await worker.region.makeTenant()
        let admin = try await worker.operatorPrincipal()
        let key = SigningKey.generate()
        let made = try await worker.administration.createClient(
            NewClient(
                id: "\(institution)-sharing", name: "Sharing", scopes: try ScopeSet(parsing: "system/*.rs"),
                keys: JSONWebKeySet([key.publicKey]), institution: institution), in: nil, as: admin)
        #expect(made.institution == institution.rawValue && made.fhirBase.hasSuffix("/region/fhir"))
        func askToken() async throws -> OAuthResponse {
            let assertion = try key.assertion(
                clientID: made.id, audience: worker.region.endpoints.token(nil), now: IdentityClock.system.now(),
                practitioner: "Practitioner/2", purposeOfUse: "TREAT")
            return await worker.server.token(.form(["client_assertion": assertion]), of: nil)
        }
        let token = try await askToken().text("access_token")
        let verified = try await worker.verifier.verify(token)
        #expect(verified.principal.institution == institution && verified.principal.tenant == nil)
        #expect(verified.access == nil, "a token of the region opens no tenant's database")
        try await worker.administration.deleteTenant(institution, as: admin)
        await worker.feed.poll()
        #expect(worker.verifier.cached(token) == nil)
        #expect(try await askToken().status == 401)
        #expect(try await worker.administration.settled(institution, within: .seconds(20)) == nil)
        let left = try await worker.administration.clients(
            of: nil, PageRequest(limit: PageRequest.maximumLimit), as: admin)
        #expect(!left.items.contains { $0.id == made.id })
    }

    @Test func `a region client needs an institution, and a tenant's client has none`() async throws {
        let worker = await Worker(try await .shared)
        let institution = try await worker.region.makeTenant()
        let admin = try await worker.operatorPrincipal()
        func create(_ institution: TenantID?, kind: Principal.Kind = .systemClient, in realm: TenantID?) async throws {
            _ = try await worker.administration.createClient(
                NewClient(
                    id: "bad", name: "Bad", kind: kind, scopes: try ScopeSet(parsing: "system/*.rs"),
                    keys: JSONWebKeySet([SigningKey.generate().publicKey]), institution: institution), in: realm,
                as: admin)
        }
        await #expect(throws: TenantRegistryError.self) { try await create(nil, in: nil) }
        await #expect(throws: TenantRegistryError.self) { try await create(TenantID("nobody"), in: nil) }
        await #expect(throws: TenantRegistryError.self) { try await create(institution, in: institution) }
        await #expect(throws: TenantRegistryError.self) {
            try await create(institution, kind: .tenantAdministrator, in: nil)
        }
    }

    @Test func `introspection tells a client of the same tenant about a good token and nothing else`() async throws {
        let worker = await Worker(try await .shared)
        let client = try await worker.makeClient(in: try await worker.region.makeTenant())
        let foreign = try await worker.makeClient(in: try await worker.region.makeTenant())
        let token = try await worker.token(client, scope: "system/Patient.rs")
        let good = await worker.server.introspect(
            .form(["token": token, "client_assertion": try client.assertion()]), of: client.tenant)
        #expect(try good.member("active")?.bool == true)
        #expect(try good.text("client_id") == client.id)
        #expect(try good.text("scope") == "system/Patient.rs")
        #expect(try good.text("aud") == worker.region.endpoints.fhirBase(client.tenant))
        for text in [try await worker.token(foreign), "rubbish", token.replacing("e", with: "f")] {
            let answer = await worker.server.introspect(
                .form(["token": text, "client_assertion": try client.assertion()]), of: client.tenant)
            #expect(String(decoding: answer.body, as: UTF8.self) == #"{"active":false}"#)
        }
        let unauthenticated = await worker.server.introspect(.form(["token": token]), of: client.tenant)
        #expect(unauthenticated.status == 401)
        let withoutToken = await worker.server.introspect(
            .form(["client_assertion": try client.assertion()]), of: client.tenant)
        #expect(withoutToken.error == "invalid_request")
    }

    @Test func `a client revokes its own tokens only`() async throws {
        let worker = await Worker(try await .shared)
        let tenant = try await worker.region.makeTenant()
        let client = try await worker.makeClient(in: tenant)
        let other = try await worker.makeClient("other", in: tenant)
        let token = try await worker.token(client)
        let answer = await worker.server.revoke(
            .form(["token": token, "client_assertion": try other.assertion()]), of: tenant)
        #expect(answer.status == 400)
        _ = try await worker.verifier.verify(token)
        let unknown = await worker.server.revoke(
            .form(["token": "rubbish", "client_assertion": try other.assertion()]), of: tenant)
        #expect(unknown.status == 200)
    }
}
