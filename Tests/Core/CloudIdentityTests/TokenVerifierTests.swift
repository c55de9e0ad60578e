import CloudIdentity
import CloudModel
import Synchronization
import Testing

/// Keys by tenant, as a control database would have them.
private struct KnownKeys: VerificationKeySource {
    let keys: [TenantID?: [JSONWebKey]]

    func verificationKey(_ keyID: String, of tenant: TenantID?) async throws(IdentityError) -> JSONWebKey {
        guard let key = keys[tenant]?.first(where: { $0.keyID == keyID }) else {
            throw IdentityError(.key, "unknown")
        }
        return key
    }
}

/// A clock that stands still until it is moved.
private final class StillClock: Sendable {
    private let offset = Mutex<Int64>(0)

    func advance(seconds: Int64) { offset.withLock { $0 += seconds } }

    var clock: IdentityClock {
        IdentityClock(
            now: { TokenWorkshop.now + self.offset.withLock { $0 } }, uptime: { self.offset.withLock { $0 } * 1000 })
    }
}

/// A verifier of tenants h1 and h2 and the region, and what is needed to make tokens for it.
private struct World {
    let h1 = TenantID("h1")!
    let h2 = TenantID("h2")!
    let key1 = SigningKey.generate()
    let key2 = SigningKey.generate()
    let regionKey = SigningKey.generate()
    let time = StillClock()
    let verifier: TokenVerifier

    init(capacity: Int = 1024) {
        let source = KnownKeys(keys: [
            h1: [key1.publicKey, try! JSONWebKey(json: TokenWorkshop.ellipticJWK())], h2: [key2.publicKey],
            nil: [regionKey.publicKey],
        ])
        verifier = TokenVerifier(
            endpoints: TokenWorkshop.endpoints, keys: source, clock: time.clock, capacity: capacity)
        verifier.controlAnswered(asOf: 0)
    }

    func token(
        client: String = "client", tenant: TenantID?, institution: TenantID? = nil, key: SigningKey,
        kind: Principal.Kind = .systemClient
    ) throws -> String {
        try AccessToken(
            kind: kind, clientID: client, tenant: tenant, institution: institution,
            scopes: ScopeSet(parsing: "system/*.rs"),
            practitioner: "Practitioner/1", purposeOfUse: "TREAT", now: time.clock.now()
        ).signed(with: key, endpoints: TokenWorkshop.endpoints)
    }

    /// Signed with the workshop's key, which h1 has too.
    func raw(header: [String: String?] = [:], claims: [String: String?] = [:], signer: TokenWorkshop.Signer = .elliptic)
        -> String
    {
        let now = TokenWorkshop.now
        return TokenWorkshop.sign(
            TokenWorkshop.object([("alg", "\"ES384\""), ("typ", "\"at+jwt\""), ("kid", "\"es\"")], header),
            TokenWorkshop.object(
                [
                    ("iss", "\"https://cloud.example/t/h1/oauth2\""), ("sub", "\"client\""),
                    ("aud", "\"https://cloud.example/t/h1/fhir\""), ("client_id", "\"client\""),
                    ("client_kind", "\"system\""), ("scope", "\"system/*.rs\""), ("iat", "\(now)"),
                    ("exp", "\(now + 300)"), ("jti", "\"t\""),
                ], claims), signer)
    }
}

@Suite struct TokenVerifierTests {
    @Test func `a token of a tenant names the tenant and opens it`() async throws {
        let world = World()
        let text = try world.token(tenant: world.h1, key: world.key1)
        #expect(world.verifier.cached(text) == nil)
        let verified = try await world.verifier.verify(text)
        #expect(verified.access == TenantAccess(minting: world.h1, origin: .token))
        #expect(verified.principal.practitioner == "Practitioner/1")
        #expect(verified.principal.purposeOfUse == "TREAT")
        #expect(verified.principal.expiresAt == TokenWorkshop.now + 300)
        #expect(world.verifier.cached(text[...]) == verified)
    }

    @Test func `a token of the region opens no tenant`() async throws {
        let world = World()
        let text = try world.token(client: "operator", tenant: nil, key: world.regionKey, kind: .operator)
        let verified = try await world.verifier.verify(text)
        #expect(verified.access == nil)
        #expect(verified.principal.kind == .operator)
    }

    @Test func `a region client's token ends with its institution`() async throws {
        let world = World()
        let text = try world.token(tenant: nil, institution: world.h2, key: world.regionKey)
        let verified = try await world.verifier.verify(text)
        #expect(verified.access == nil && verified.principal.institution == world.h2)
        func end(_ tenant: TenantID) {
            world.verifier.apply([
                Revocation(
                    subject: .realm, tenant: tenant, at: TokenWorkshop.now, expiresAt: TokenWorkshop.now + 600)
            ])
        }
        end(world.h1)
        #expect(world.verifier.cached(text) != nil)
        end(world.h2)
        #expect(world.verifier.cached(text) == nil)
        await #expect(throws: IdentityError.self) { try await world.verifier.verify(text) }
    }

    @Test func `the hand-made token is good, so that its bad variants prove something`() async throws {
        let world = World()
        #expect(try await world.verifier.verify(world.raw()).principal.clientID == "client")
    }

    private static let bad: [(String, [String: String?], [String: String?])] = [
        ("alg none", ["alg": #""none""#], [:]), ("alg HS256", ["alg": #""HS256""#], [:]),
        ("alg RS384", ["alg": #""RS384""#], [:]), ("typ JWT", ["typ": #""JWT""#], [:]),
        ("no typ", ["typ": nil], [:]), ("unknown kid", ["kid": #""x""#], [:]), ("no kid", ["kid": nil], [:]),
        ("jwk", ["jwk": "{}"], [:]), ("crit", ["crit": #"["exp"]"#], [:]),
        ("another region", [:], ["iss": #""https://evil.example/t/h1/oauth2""#]),
        ("the region's issuer", [:], ["iss": #""https://cloud.example/region/oauth2""#]),
        ("another tenant's issuer", [:], ["iss": #""https://cloud.example/t/h2/oauth2""#]),
        ("issuer with a slash", [:], ["iss": #""https://cloud.example/t/h1/oauth2/""#]),
        ("issuer of no tenant", [:], ["iss": #""https://cloud.example/t//oauth2""#]),
        ("issuer of tenant region", [:], ["iss": #""https://cloud.example/t/region/oauth2""#]),
        ("issuer in full width", [:], ["iss": "\"https://cloud.example/t/\u{FF48}1/oauth2\""]),
        ("issuer with dots", [:], ["iss": #""https://cloud.example/t/h1/../h2/oauth2""#]),
        ("no issuer", [:], ["iss": nil]),
        ("another tenant's audience", [:], ["aud": #""https://cloud.example/t/h2/fhir""#]),
        ("token endpoint as audience", [:], ["aud": #""https://cloud.example/t/h1/oauth2/token""#]),
        ("two audiences", [:], ["aud": #"["https://cloud.example/t/h1/fhir","https://cloud.example/t/h2/fhir"]"#]),
        ("no audience", [:], ["aud": nil]),
        ("expired", [:], ["exp": "\(TokenWorkshop.now)"]), ("no exp", [:], ["exp": nil]),
        ("no iat", [:], ["iat": nil]), ("exp 301 s after iat", [:], ["exp": "\(TokenWorkshop.now + 301)"]),
        ("iat in the future", [:], ["iat": "\(TokenWorkshop.now + 10)"]), ("exp text", [:], ["exp": #""x""#]),
        ("no jti", [:], ["jti": nil]), ("no client", [:], ["client_id": nil]),
        ("sub is another", [:], ["sub": #""other""#]), ("no scope", [:], ["scope": nil]),
        ("scope rubbish", [:], ["scope": #""everything""#]), ("no kind", [:], ["client_kind": nil]),
        ("unknown kind", [:], ["client_kind": #""root""#]),
        ("operator of a tenant", [:], ["client_kind": #""operator""#]),
        ("institution in a tenant's token", [:], ["institution": #""h2""#]),
    ]

    @Test(arguments: bad.indices)
    func `a bad access token is refused and not remembered`(_ index: Int) async throws {
        let (name, header, claims) = Self.bad[index]
        let world = World()
        let text = world.raw(header: header, claims: claims)
        await #expect(throws: IdentityError.self, "\(name)") { try await world.verifier.verify(text) }
        #expect(world.verifier.cached(text) == nil)
    }

    @Test func `a token signed with another tenant's key is refused`() async throws {
        let world = World()
        let text = try world.token(tenant: world.h1, key: world.key2)
        await #expect(throws: IdentityError.self) { try await world.verifier.verify(text) }
    }

    @Test func `a client assertion is no access token`() async throws {
        let world = World()
        let text = try world.key1.assertion(
            clientID: "client", audience: TokenWorkshop.endpoints.fhirBase(world.h1), now: TokenWorkshop.now)
        await #expect(throws: IdentityError.self) { try await world.verifier.verify(text) }
    }

    @Test func `a changed byte anywhere makes it another, bad token`() async throws {
        let world = World()
        let text = try world.token(tenant: world.h1, key: world.key1)
        _ = try await world.verifier.verify(text)
        for position in stride(from: 0, to: text.utf8.count, by: 7) {
            var bytes = Array(text.utf8)
            bytes[position] = bytes[position] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            let changed = String(decoding: bytes, as: UTF8.self)
            #expect(world.verifier.cached(changed) == nil)
            await #expect(throws: IdentityError.self) { try await world.verifier.verify(changed) }
        }
    }

    @Test func `a remembered token ends with its exp`() async throws {
        let world = World()
        let text = try world.token(tenant: world.h1, key: world.key1)
        _ = try await world.verifier.verify(text)
        world.time.advance(seconds: 299)
        world.verifier.controlAnswered(asOf: world.verifier.uptime())
        #expect(world.verifier.cached(text) != nil)
        world.time.advance(seconds: 1)
        world.verifier.controlAnswered(asOf: world.verifier.uptime())
        #expect(world.verifier.cached(text) == nil)
        await #expect(throws: IdentityError.self) { try await world.verifier.verify(text) }
    }

    @Test(arguments: [Revocation.Subject.realm, .client("client")])
    func `a revocation ends old tokens and no new ones`(_ subject: Revocation.Subject) async throws {
        let world = World()
        let old = try world.token(tenant: world.h1, key: world.key1)
        let other = try world.token(client: "other", tenant: world.h2, key: world.key2)
        _ = try await world.verifier.verify(old)
        _ = try await world.verifier.verify(other)
        world.verifier.apply([
            Revocation(subject: subject, tenant: world.h1, at: TokenWorkshop.now, expiresAt: TokenWorkshop.now + 600)
        ])
        #expect(world.verifier.cached(old) == nil)
        #expect(world.verifier.cached(other) != nil)
        await #expect(throws: IdentityError.self) { try await world.verifier.verify(old) }
        world.time.advance(seconds: 1)
        _ = try await world.verifier.verify(try world.token(tenant: world.h1, key: world.key1))
    }

    @Test func `a revoked token stays revoked and its neighbours live`() async throws {
        let world = World()
        let gone = try world.token(tenant: world.h1, key: world.key1)
        let kept = try world.token(tenant: world.h1, key: world.key1)
        let id = try await world.verifier.verify(gone).principal.tokenID
        _ = try await world.verifier.verify(kept)
        world.verifier.apply([
            Revocation(subject: .token(id), tenant: world.h1, at: TokenWorkshop.now, expiresAt: TokenWorkshop.now + 300)
        ])
        #expect(world.verifier.cached(gone) == nil)
        #expect(world.verifier.cached(kept) != nil)
        await #expect(throws: IdentityError.self) { try await world.verifier.verify(gone) }
    }

    @Test func `without word from the control database new tokens are refused after 5 and old ones after 30 seconds`()
        async throws
    {
        let world = World()
        let old = try world.token(tenant: world.h1, key: world.key1)
        _ = try await world.verifier.verify(old)
        world.time.advance(seconds: 6)
        let new = try world.token(tenant: world.h1, key: world.key1)
        await #expect { try await world.verifier.verify(new) } throws: { ($0 as? IdentityError)?.code == .unavailable }
        #expect(world.verifier.cached(old) != nil)
        #expect(!world.verifier.isFresh)
        world.time.advance(seconds: 25)
        #expect(world.verifier.cached(old) == nil)
        world.verifier.controlAnswered(asOf: world.verifier.uptime())
        #expect(world.verifier.cached(old) != nil)
        _ = try await world.verifier.verify(new)
    }

    @Test func `before the first word nothing is accepted`() async throws {
        let world = World()
        let verifier = TokenVerifier(
            endpoints: TokenWorkshop.endpoints, keys: KnownKeys(keys: [world.h1: [world.key1.publicKey]]),
            clock: world.time.clock)
        let text = try world.token(tenant: world.h1, key: world.key1)
        await #expect { try await verifier.verify(text) } throws: { ($0 as? IdentityError)?.code == .unavailable }
    }

    @Test func `the memory of tokens is bounded`() async throws {
        let world = World(capacity: 32)
        for _ in 0..<200 {
            _ = try await world.verifier.verify(try world.token(tenant: world.h1, key: world.key1))
        }
        #expect(world.verifier.count <= 32)
    }
}
