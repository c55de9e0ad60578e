package import CloudModel
import Foundation
import Glibc

/// A tenant as the operator asks for it.
package struct TenantDraft: Sendable, Equatable {
    package var id: String
    package var name: String
    package var timeZone: String
    package var language: String
    /// `hospital`, `clinic`, …
    package var kind: String
    package var labels: [String: String]

    package init(
        id: String, name: String, timeZone: String, language: String, kind: String = "hospital",
        labels: [String: String] = [:]
    ) {
        self.id = id
        self.name = name
        self.timeZone = timeZone
        self.language = language
        self.kind = kind
        self.labels = labels
    }
}

/// The platform API `/v1`, as the operator of a region.
package struct PlatformAPI: Sendable {
    package let connection: RegionConnection
    package let state: RegionState
    package let baseURL: String
    private let profile: OperatorProfile
    private let tokens = TokenCache()

    package init(connection: RegionConnection, state: RegionState, profile: OperatorProfile) {
        self.connection = connection
        self.state = state
        self.profile = profile
        baseURL = profile.baseURL
    }

    // MARK: Tenants

    package func tenants() async throws -> [JSONValue] {
        try await list("/v1/tenants")
    }

    /// The tenant, or nil when there is none of that name.
    package func tenant(_ id: String) async throws -> JSONValue? {
        let answer = try await send("GET", "/v1/tenants/\(FormText.escape(id))")
        if answer.status == 404 { return nil }
        return try Self.body(of: answer)
    }

    /// The tenant.
    /// - Throws: ``CommandFailure`` that suggests the nearest name when there is none.
    package func existingTenant(_ id: String) async throws -> JSONValue {
        if let found = try await tenant(id) { return found }
        let names = try await tenants().compactMap { $0[key: "id"]?.string }
        throw CommandFailure(
            .notFound,
            "There is no tenant \"\(id)\"." + Suggestion.hint(for: id, among: names)
                + (names.isEmpty
                    ? " Make one with `medcloud tenant create`." : " `medcloud tenant list` shows them all."))
    }

    /// Asks for a tenant.
    /// - Returns: the operation that makes it.
    @discardableResult
    package func createTenant(_ draft: TenantDraft) async throws -> JSONValue {
        let body = JSONValue.object([
            "id": .string(draft.id), "name": .string(draft.name), "timeZone": .string(draft.timeZone),
            "language": .string(draft.language), "kind": .string(draft.kind),
            "labels": .object(draft.labels.mapValues { .string($0) }),
        ])
        return try Self.body(of: try await send("POST", "/v1/tenants", body: body))
    }

    /// Waits until the controller has made the tenant's database.
    package func waitUntilReady(_ id: String, within limit: Duration = .seconds(60)) async throws -> JSONValue {
        let end = ContinuousClock.now + limit
        while true {
            let tenant = try await existingTenant(id)
            switch tenant[key: "state"]?.string {
            case "ready": return tenant
            case "failed":
                throw CommandFailure(
                    .failed,
                    "Tenant \(id) could not be made: \(tenant[key: "error"]?.string ?? "no reason given"); "
                        + "see `medcloud logs controller`.")
            default: break
            }
            guard ContinuousClock.now < end else {
                throw CommandFailure(
                    .failed, "Tenant \(id) is still not ready after \(limit); see `medcloud logs controller`.")
            }
            try await Task.sleep(for: .milliseconds(25))
        }
    }

    /// Asks for a tenant's removal.
    /// - Returns: the operation that removes it.
    package func deleteTenant(_ id: String) async throws -> JSONValue {
        try Self.body(of: try await send("DELETE", "/v1/tenants/\(FormText.escape(id))"))
    }

    // MARK: Clients

    /// Of a tenant, or of the region when `tenant` is ``ClientProfile/region``.
    package func clients(of tenant: String) async throws -> [JSONValue] {
        try await list(Self.clientsPath(tenant))
    }

    private static func clientsPath(_ tenant: String) -> String {
        tenant == ClientProfile.region ? "/v1/clients" : "/v1/tenants/\(FormText.escape(tenant))/clients"
    }

    /// The scope of a hospital's own system: everything in its own records.
    package static let systemScope = "system/*.cruds"

    /// The scope of a reader in the view across institutions.
    package static let regionScope = "system/*.rs"

    /// Makes a client with a key pair of its own and keeps the private half in a file of mode 0600, whose path is
    /// returned. The file is written before the key is registered: a registered key without its private half would be
    /// of no use to anybody.
    ///
    /// - Parameter institution: whom a client of the region acts for; nil for a tenant's client.
    package func createClient(
        tenant: String, client: String, name: String, scope: String, institution: String? = nil, file: String? = nil
    ) async throws -> String {
        let path = try file ?? clientFile(tenant: tenant, client: client)
        guard access(path, F_OK) != 0 else {
            throw CommandFailure(
                .refused, "\(path) already exists: move it away, or choose another name or --key-file.")
        }
        let key = ClientKey.generate()
        let addresses = ClientProfile.addresses(baseURL: baseURL, tenant: tenant)
        let profile = ClientProfile(
            tenant: tenant, clientID: client, tokenURL: addresses.tokenURL, fhirBase: addresses.fhirBase,
            scope: scope, caFile: connection.trust.file, privateKey: key)
        try profile.write(to: path)
        do {
            try await register(profile, name: name, institution: institution)
        } catch {
            unlink(path)
            throw error
        }
        return path
    }

    private func register(_ profile: ClientProfile, name: String, institution: String? = nil) async throws {
        var members: [String: JSONValue] = [
            "id": .string(profile.clientID), "name": .string(name), "scope": .string(profile.scope),
            "jwks": .object(["keys": .array([try profile.privateKey.publicJWK()])]),
        ]
        if let institution { members["institution"] = .string(institution) }
        _ = try Self.body(of: try await send("POST", Self.clientsPath(profile.tenant), body: .object(members)))
    }

    /// Makes `TENANT-system` unless it is there already; returns its key file.
    @discardableResult
    package func ensureDefaultClient(of tenant: String) async throws -> String {
        let client = "\(tenant)-system"
        let path = try clientFile(tenant: tenant, client: client)
        let exists = try await clients(of: tenant).contains { $0[key: "id"]?.string == client }
        if exists { return path }
        if access(path, F_OK) == 0 {
            // Written, but never registered: an earlier attempt was interrupted.
            try await register(try ClientProfile.read(path), name: "System of \(tenant)")
            return path
        }
        return try await createClient(
            tenant: tenant, client: client, name: "System of \(tenant)", scope: Self.systemScope)
    }

    package func disableClient(tenant: String, client: String) async throws {
        let answer = try await send("DELETE", Self.clientsPath(tenant) + "/" + FormText.escape(client))
        guard answer.status < 300 else { throw Self.failure(of: answer) }
    }

    func clientFile(tenant: String, client: String) throws -> String {
        for directory in [state.clientsDirectory, state.clientsDirectory + "/" + tenant] {
            if mkdir(directory, 0o700) != 0, errno != EEXIST {
                throw CommandFailure.system("make \(directory)", errno: errno)
            }
        }
        return state.clientFile(tenant: tenant, client: client)
    }

    // MARK: Feeds

    package func feeds() async throws -> [JSONValue] {
        try await list("/v1/feeds")
    }

    /// - Parameter wish: `retry` or `rebuild`.
    package func askFeeds(of tenant: String, for wish: String) async throws {
        _ = try Self.body(of: try await send("POST", "/v1/feeds/\(FormText.escape(tenant))/\(wish)"))
    }

    // MARK: Calls

    /// Every item of a paged list: `{"items": […], "next": "…"}`.
    func list(_ path: String) async throws -> [JSONValue] {
        var items: [JSONValue] = []
        var next: String? = path
        while let current = next {
            let answer = try Self.body(of: try await send("GET", current))
            items += answer[key: "items"]?.elements ?? answer.elements
            next = answer[key: "next"]?.string
        }
        return items
    }

    /// One call with the operator's token; every write carries an Idempotency-Key.
    package func send(_ method: String, _ path: String, body: JSONValue? = nil) async throws
        -> RegionConnection.Answer
    {
        var headers = [("authorization", "Bearer \(try await accessToken())"), ("accept", "application/json")]
        if body != nil { headers.append(("content-type", "application/json")) }
        if method != "GET" { headers.append(("idempotency-key", UUID().uuidString.lowercased())) }
        let url = path.hasPrefix("http") ? path : baseURL + path
        let request = RegionConnection.Request(
            method: method, url: url, body: body.map { Array($0.serialized(pretty: false).utf8) }, headers: headers)
        return try await RegionConnection.patiently { try await connection.send(request) }
    }

    /// The operator's access token, renewed as needed.
    func accessToken() async throws -> String {
        try await tokens.value {
            try await connection.token(
                clientID: profile.clientID, key: profile.privateKey, tokenURL: "\(baseURL)/region/oauth2/token",
                scope: "")
        }
    }

    static func body(of answer: RegionConnection.Answer) throws -> JSONValue {
        guard answer.status < 300 else { throw failure(of: answer) }
        if answer.body.isEmpty { return .null }
        guard let value = answer.json else {
            throw CommandFailure(.failed, "The region's answer is not JSON (status \(answer.status)).")
        }
        return value
    }

    /// Problems of status 422 that are not about what was written, but about how things stand.
    private static let refusedCodes: [String: CommandFailure.Code] = [
        "illegal-transition": .refused, "plan-not-allowed": .refused, "consent-refused": .refused,
        "flag-refused": .refused,
        "specification-refused": .invalid, "idempotency-mismatch": .failed,
    ]

    /// A problem (RFC 9457) or OperationOutcome as one line.
    package static func failure(of answer: RegionConnection.Answer) -> CommandFailure {
        let code: CommandFailure.Code =
            switch answer.status {
            case 401, 403: .unauthorized
            case 404, 410: .notFound
            case 409, 412, 428: .refused
            case 400, 422: answer.json.flatMap { refusedCodes[$0[key: "code"]?.string ?? ""] } ?? .usage
            case 503: .unreachable
            default: .failed
            }
        guard let body = answer.json else { return CommandFailure(code, "The region answered \(answer.status).") }
        var text = body[key: "detail"]?.string ?? body[key: "title"]?.string ?? ""
        for issue in body[key: "issue"]?.elements ?? [] {
            text += text.isEmpty ? "" : " "
            if let place = issue[key: "expression"]?.elements.first?.string { text += place + ": " }
            text += issue[key: "diagnostics"]?.string ?? issue[key: "details"]?[key: "text"]?.string ?? ""
        }
        for error in body[key: "errors"]?.elements ?? [] {
            let place = error[key: "pointer"]?.string ?? error[key: "field"]?.string
            let detail = error[key: "detail"]?.string ?? error[key: "message"]?.string ?? ""
            text += " " + (place.map { "\($0): " } ?? "") + detail
        }
        if let problem = body[key: "code"]?.string { text += " [\(problem): `medcloud explain \(problem)`]" }
        return CommandFailure(code, text.isEmpty ? "The region answered \(answer.status)." : text)
    }
}
