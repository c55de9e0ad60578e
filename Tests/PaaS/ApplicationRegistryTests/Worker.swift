import ApplicationRegistry
import CloudIdentity
import CloudModel
import Logging
import StrictJSON
import TenantRegistry
import TestSupport

/// What one gateway worker holds of identity; two of them share nothing but the control database.
struct Worker {
    let region: TestRegion
    let server: AuthorizationServer
    let verifier: TokenVerifier
    let administration: TenantAdministration
    let database: ApplicationDatabase
    let feed: RevocationFeed

    init(
        _ region: TestRegion, logger: Logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    ) async {
        self.region = region
        let control = region.controlDatabase()
        database = ApplicationDatabase(control: control)
        let keyRing = KeyRing(database: database, key: region.key)
        // Time does not pass for the verifier between two polls, however busy the machine is.
        let clock = IdentityClock(now: IdentityClock.system.now, uptime: { 0 })
        verifier = TokenVerifier(endpoints: region.endpoints, keys: keyRing, clock: clock)
        server = AuthorizationServer(
            database: database, keyRing: keyRing, verifier: verifier, endpoints: region.endpoints, logger: logger)
        administration = TenantAdministration(
            control: control, database: database, verifier: verifier, endpoints: region.endpoints)
        feed = RevocationFeed(
            control: control, verifier: verifier, keyRing: keyRing, tenantDatabases: nil, logger: logger)
        await feed.poll()
    }

    /// The operator, as its own token says.
    func operatorPrincipal() async throws -> Principal {
        let assertion = try region.operatorKey.assertion(
            clientID: "operator", audience: region.endpoints.token(nil), now: IdentityClock.system.now())
        let answer = await server.token(.form(["client_assertion": assertion]), of: nil)
        return try await verifier.verify(try answer.text("access_token")).principal
    }

    /// Registers a client with a key of its own.
    func makeClient(
        _ id: String = "system", in tenant: TenantID, scope: String = "system/*.cruds"
    ) async throws -> TestClient {
        let key = SigningKey.generate()
        _ = try await administration.createClient(
            NewClient(
                id: id, name: id, scopes: try ScopeSet(parsing: scope), keys: JSONWebKeySet([key.publicKey])),
            in: tenant, as: try await operatorPrincipal())
        return TestClient(id: id, tenant: tenant, key: key, endpoints: region.endpoints)
    }

    func token(_ client: TestClient, scope: String = "system/*.rs") async throws -> String {
        let answer = await server.token(
            .form(["client_assertion": try client.assertion(), "scope": scope]), of: client.tenant)
        return try answer.text("access_token")
    }
}

/// A client that signs its assertions.
struct TestClient {
    let id: String
    let tenant: TenantID
    let key: SigningKey
    let endpoints: IdentityEndpoints

    func assertion(practitioner: String? = nil, purposeOfUse: String? = nil) throws -> String {
        try key.assertion(
            clientID: id, audience: endpoints.token(tenant), now: IdentityClock.system.now(),
            practitioner: practitioner,
            purposeOfUse: purposeOfUse)
    }
}

extension OAuthRequest {
    /// A token request with `changes`; nil leaves a default parameter out.
    static func form(_ changes: [String: String?], contentType: String? = "application/x-www-form-urlencoded") -> Self {
        var fields: [String: String?] = [
            "grant_type": "client_credentials", "client_assertion_type": ClientAssertion.formType,
        ]
        fields.merge(changes) { $1 }
        let pairs = fields.compactMap { name, value in value.map { "\(name)=\(escape($0))" } }
        return OAuthRequest(body: Array(pairs.joined(separator: "&").utf8), contentType: contentType)
    }

    private static func escape(_ text: String) -> String {
        text.utf8.map { byte in
            let character = Character(Unicode.Scalar(byte))
            if character.isLetter || character.isNumber || "-._".contains(character), byte < 128 {
                return String(character)
            }
            return "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}

extension OAuthResponse {
    func member(_ name: String) throws -> JSONNode? { try JSONDocument(body).root[name] }

    func text(_ name: String) throws -> String {
        guard let text = try member(name)?.string else { throw MissingMember(name: name, status: status, body: body) }
        return text
    }

    var error: String? { try? member("error")?.string }
}

struct MissingMember: Error, CustomStringConvertible {
    let name: String
    let status: Int
    let body: [UInt8]

    var description: String { "no \(name) in \(status): \(String(decoding: body, as: UTF8.self))" }
}
