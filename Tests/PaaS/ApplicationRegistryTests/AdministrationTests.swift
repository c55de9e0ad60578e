import ApplicationRegistry
import CloudIdentity
import CloudModel
import StrictJSON
import TenantRegistry
import TestSupport
import Testing

@Suite struct AdministrationTests {
    private func principal(_ kind: Principal.Kind, _ tenant: TenantID?) throws -> Principal {
        Principal(
            kind: kind, clientID: "who", tenant: tenant, scopes: try ScopeSet(parsing: "system/*.cruds"), tokenID: "t",
            expiresAt: .max)
    }

    private func newClient(_ id: String) throws -> NewClient {
        NewClient(
            id: id, name: id, scopes: try ScopeSet(parsing: "system/*.rs"),
            keys: JSONWebKeySet([SigningKey.generate().publicKey]))
    }

    @Test func `the operator makes, lists, shows and removes tenants`() async throws {
        let worker = await Worker(try await .shared)
        let admin = try await worker.operatorPrincipal()
        let id = worker.region.newTenantName()
        let tenant = try #require(TenantID(id))
        let operation = try await worker.administration.createTenant(
            NewTenant(
                id: id, name: "Klinik", timeZone: "Europe/Berlin", language: "de", kind: .clinic,
                labels: ["ward": "3"]), as: admin)
        #expect(try await worker.administration.settled(tenant, within: .seconds(10))?.state == .ready)
        let before = PageRequest(after: [String(id.dropLast())], limit: PageRequest.maximumLimit)
        #expect(try await worker.administration.tenants(before, as: admin).items.contains { $0.id == id })
        let after = PageRequest(after: [id], limit: PageRequest.maximumLimit)
        #expect(try await !worker.administration.tenants(after, as: admin).items.contains { $0.id == id })
        let made = try await worker.administration.tenant(tenant, as: admin)
        #expect(made.timeZone == "Europe/Berlin" && made.kind == .clinic && made.labels == ["ward": "3"])
        #expect(made.operation == operation)
        try await worker.administration.deleteTenant(tenant, as: admin)
        #expect(try await worker.administration.settled(tenant, within: .seconds(20)) == nil)
    }

    @Test(arguments: [
        Principal.Kind.tenantAdministrator, .systemClient, .practitioner, .patient,
    ])
    func `nobody but the operator makes or removes tenants`(_ kind: Principal.Kind) async throws {
        let worker = await Worker(try await .shared)
        let tenant = try await worker.region.makeTenant()
        let who = try principal(kind, tenant)
        await #expect(throws: TenantRegistryError.self) {
            try await worker.administration.createTenant(
                NewTenant(id: "nope", name: "x", timeZone: "UTC", language: "en"), as: who)
        }
        await #expect(throws: TenantRegistryError.self) {
            try await worker.administration.deleteTenant(tenant, as: who)
        }
        #expect(try await worker.region.control.tenant(tenant)?.state == .ready)
    }

    @Test func `an operator of a tenant is no operator`() async throws {
        let worker = await Worker(try await .shared)
        let tenant = try await worker.region.makeTenant()
        let who = try principal(.operator, tenant)
        await #expect(throws: TenantRegistryError.self) {
            try await worker.administration.deleteTenant(tenant, as: who)
        }
        await #expect(throws: TenantRegistryError.self) {
            try await worker.administration.clients(of: tenant, PageRequest(), as: who)
        }
    }

    @Test func `an administrator manages the clients of its own tenant and sees no other`() async throws {
        let worker = await Worker(try await .shared)
        let mine = try await worker.region.makeTenant()
        let other = try await worker.region.makeTenant()
        let admin = try principal(.tenantAdministrator, mine)
        #expect(try await worker.administration.tenants(PageRequest(), as: admin).items.map(\.id) == [mine.rawValue])
        let made = try await worker.administration.createClient(try newClient("a"), in: mine, as: admin)
        #expect(made.tenant == mine.rawValue)
        #expect(try await worker.administration.clients(of: mine, PageRequest(), as: admin).items.map(\.id) == ["a"])
        try await worker.administration.disableClient("a", of: mine, as: admin)
        #expect(try await worker.administration.client("a", of: mine, as: admin).isDisabled)
        for attempt in [other, nil] {
            await #expect { try await worker.administration.clients(of: attempt, PageRequest(), as: admin) } throws: {
                ($0 as? TenantRegistryError)?.code == .unknownTenant
            }
            await #expect(throws: TenantRegistryError.self) {
                try await worker.administration.createClient(try newClient("b"), in: attempt, as: admin)
            }
        }
    }

    @Test func `a client is made once, in a tenant that exists, and is no operator`() async throws {
        let worker = await Worker(try await .shared)
        let tenant = try await worker.region.makeTenant()
        let admin = try await worker.operatorPrincipal()
        _ = try await worker.administration.createClient(try newClient("a"), in: tenant, as: admin)
        await #expect {
            try await worker.administration.createClient(try newClient("a"), in: tenant, as: admin)
        } throws: {
            ($0 as? TenantRegistryError)?.code == .conflict
        }
        await #expect {
            try await worker.administration.createClient(try newClient("a"), in: TenantID("nowhere"), as: admin)
        } throws: { ($0 as? TenantRegistryError)?.code == .unknownTenant }
        let bad = NewClient(
            id: "root", name: "root", kind: .operator, scopes: try ScopeSet(parsing: "system/*.rs"),
            keys: JSONWebKeySet([SigningKey.generate().publicKey]))
        await #expect { try await worker.administration.createClient(bad, in: nil, as: admin) } throws: {
            ($0 as? TenantRegistryError)?.code == .denied
        }
    }

    @Test func `the operator revokes a token of any tenant`() async throws {
        let worker = await Worker(try await .shared)
        let client = try await worker.makeClient(in: try await worker.region.makeTenant())
        let token = try await worker.token(client)
        _ = try await worker.verifier.verify(token)
        try await worker.administration.revokeToken(token, as: try await worker.operatorPrincipal())
        #expect(worker.verifier.cached(token) == nil)
    }

    @Test(arguments: [
        #"{"id":"c"}"#, #"[]"#, #"{"id":"c","name":"n","scope":"system/*.rs","jwks":{"keys":[]}}"#,
        #"{"id":"c","name":"n","scope":"everything","jwks":KEYS}"#,
        #"{"id":1,"name":"n","scope":"system/*.rs","jwks":KEYS}"#,
        #"{"id":"c","name":"n","scope":"system/*.rs","jwks":KEYS,"secret":"x"}"#,
        #"{"id":"c","name":"n","scope":"system/*.rs","jwks":KEYS,"kind":"operator"}"#,
        #"{"id":"c","name":"n","scope":"system/*.rs","jwks":KEYS,"origins":["*"]}"#,
        #"{"id":"c","name":"n","scope":"system/*.rs","jwks":KEYS,"origins":["https://a.example/x"]}"#,
        #"{"id":"c","name":"n","scope":"system/*.rs","jwks":KEYS,"origins":"https://a.example"}"#,
    ])
    func `a body that says too little, too much or something wrong is refused`(_ body: String) throws {
        let keys = JSONWebKeySet([SigningKey.generate().publicKey]).json
        let root = try JSONDocument(Array(body.replacing("KEYS", with: keys).utf8)).root
        #expect { try NewClient(json: root) } throws: { ($0 as? TenantRegistryError)?.code == .invalidValue }
    }

    @Test func `a registered origin is found until its client is disabled`() async throws {
        let worker = await Worker(try await .shared)
        let tenant = try await worker.region.makeTenant()
        let admin = try await worker.operatorPrincipal()
        let keys = JSONWebKeySet([SigningKey.generate().publicKey]).json
        let body =
            #"{"id":"c","name":"n","scope":"system/*.rs","jwks":KEYS,"origins":["https://portal.example","http://localhost:8080"]}"#
        let new = try NewClient(json: try JSONDocument(Array(body.replacing("KEYS", with: keys).utf8)).root)
        _ = try await worker.administration.createClient(new, in: tenant, as: admin)
        #expect(try await worker.database.origins(of: tenant) == ["https://portal.example", "http://localhost:8080"])
        try await worker.administration.disableClient("c", of: tenant, as: admin)
        #expect(try await worker.database.origins(of: tenant) == [])
    }

    @Test func `discovery names what SMART Backend Services need and the keys verify tokens`() async throws {
        let worker = await Worker(try await .shared)
        let client = try await worker.makeClient(in: try await worker.region.makeTenant())
        let document = await worker.server.smartConfiguration(of: client.tenant)
        #expect(document.status == 200)
        #expect(try document.text("token_endpoint") == worker.region.endpoints.token(client.tenant))
        let algorithms = try #require(try document.member("token_endpoint_auth_signing_alg_values_supported"))
        #expect(algorithms.elements.compactMap(\.string) == ["RS384", "ES384"])
        let keys = await worker.server.keySet(of: client.tenant)
        let list = try #require(try keys.member("keys"))
        #expect(list.count == 1)
        #expect(!String(decoding: keys.body, as: UTF8.self).contains("\"d\""))
        let token = try CompactToken(try await worker.token(client))
        let published = try JSONWebKey(try #require(list.elements.first { _ in true }))
        try token.verify(with: published)
        for nowhere in [TenantID("nowhere")] {
            #expect(await worker.server.smartConfiguration(of: nowhere).status == 404)
            #expect(await worker.server.keySet(of: nowhere).status == 404)
        }
    }
}
