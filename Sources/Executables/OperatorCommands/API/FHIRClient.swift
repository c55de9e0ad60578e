package import CloudModel
package import NIOCore
package import StrictJSON

/// A tenant's FHIR base, as one of the tenant's clients.
package struct FHIRClient: Sendable {
    package let connection: RegionConnection
    package let profile: ClientProfile
    private let tokens = TokenCache()

    package init(connection: RegionConnection, profile: ClientProfile) {
        self.connection = connection
        self.profile = profile
    }

    /// The key file of a client.
    /// - Parameter client: default `TENANT-system`.
    /// - Throws: ``CommandFailure`` that names the nearest tenant or client whose key lies in the state directory.
    package static func profile(state: RegionState, tenant: String, client: String?) throws -> ClientProfile {
        let client = client ?? "\(tenant)-system"
        if let profile = try existing(state.clientFile(tenant: tenant, client: client)) { return profile }
        let tenants = StateDirectory.names(in: state.clientsDirectory) ?? []
        guard tenants.contains(tenant) else {
            throw CommandFailure(
                .notFound,
                "There is no client key for a tenant \"\(tenant)\" in \(state.clientsDirectory)."
                    + Suggestion.hint(for: tenant, among: tenants) + " `medcloud tenant list` shows the tenants.")
        }
        let clients = (StateDirectory.names(in: "\(state.clientsDirectory)/\(tenant)") ?? [])
            .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }
        throw CommandFailure(
            .notFound,
            "There is no key of client \"\(client)\" in \(state.clientsDirectory)/\(tenant)."
                + Suggestion.hint(for: client, among: clients) + " `medcloud client create` makes one.")
    }

    private static func existing(_ path: String) throws -> ClientProfile? {
        do {
            return try ClientProfile.read(path)
        } catch let failure as CommandFailure where failure.code == .notFound {
            return nil
        }
    }

    package func token() async throws -> String {
        try await tokens.value {
            try await connection.token(
                clientID: profile.clientID, key: profile.privateKey, tokenURL: profile.tokenURL, scope: profile.scope)
        }
    }

    /// One interaction. `path` is relative to the base, or a whole address below it (a `next` link).
    package func send(_ method: String, _ path: String, body: [UInt8]? = nil, timeout: TimeAmount = .seconds(300))
        async throws -> RegionConnection.Answer
    {
        var url = path
        if !path.hasPrefix("http") { url = path.isEmpty ? profile.fhirBase : "\(profile.fhirBase)/\(path)" }
        guard url == profile.fhirBase || url.hasPrefix(profile.fhirBase + "/") || url.hasPrefix(profile.fhirBase + "?")
        else {
            // The token goes to no other place than the base it is for.
            throw CommandFailure(.refused, "The server named an address outside its FHIR base: \(url)")
        }
        var headers = [("authorization", "Bearer \(try await token())"), ("accept", "application/fhir+json")]
        if body != nil { headers.append(("content-type", "application/fhir+json")) }
        return try await connection.send(
            .init(method: method, url: url, body: body, headers: headers, timeout: timeout))
    }

    /// The body of a good answer.
    package func document(_ method: String, _ path: String) async throws -> JSONDocument {
        let answer = try await send(method, path)
        guard answer.status < 300 else { throw PlatformAPI.failure(of: answer) }
        do {
            return try JSONDocument(answer.body)
        } catch {
            throw CommandFailure(.failed, "The answer to \(path) is not JSON: \(error.message)")
        }
    }

    /// The resource types that the base serves, by `metadata`; AuditEvents are the log, not records, and are left out.
    package func types() async throws -> [String] {
        let metadata = try await document("GET", "metadata")
        let resources = metadata.root["rest"]?.elements.first { _ in true }?["resource"]
        let names = resources?.elements.compactMap { $0["type"]?.string } ?? []
        return names.filter { $0 != "AuditEvent" }
    }

    /// How many resources of a type there are.
    package func count(_ type: String) async throws -> Int {
        try await document("GET", "\(type)?_summary=count").root["total"]?.integer ?? 0
    }
}
