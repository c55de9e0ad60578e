package import CloudHTTP
package import CloudModel
import HTTPTypes
import ModuleKit

/// What the gateway knows of tenants before a credential is looked at.
package protocol TenantDirectory: Sendable {
    /// The tenant's registered web origins (`https://portal.example`), or nil when there is no such tenant that serves.
    ///
    /// - Throws: `Problem` 503 when that cannot be told now.
    func origins(of tenant: TenantID) async throws(Problem) -> Set<String>?
    /// Whether the tenant serves and has a FHIR base: a partner has none.
    ///
    /// - Throws: `Problem` 503 when that cannot be told now.
    func hasRecords(_ tenant: TenantID) async throws(Problem) -> Bool
}

/// CORS (Fetch standard) for the FHIR base, token endpoint, JWKS and `.well-known` of a tenant, for its registered origins
/// only. Never `*`, and never `Access-Control-Allow-Credentials`: tokens travel in `Authorization`, not in cookies.
struct CrossOriginPolicy: Sendable {
    let directory: any TenantDirectory

    /// A page may read these beside the safelisted ones.
    private static let exposed =
        "ETag, Last-Modified, Location, Content-Location, X-Request-Id, Retry-After, Preference-Applied, WWW-Authenticate"
    private static let allowedHeaders =
        "Authorization, Content-Type, Accept, Prefer, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, "
        + "If-None-Exist, Idempotency-Key, X-Request-Id"
    private static let allowedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"

    /// Whether a path takes part at all.
    static func covers(_ path: [String]) -> Bool {
        guard path.count >= 3, path[0] == "t" else { return false }
        if path[2] == "fhir" { return true }
        return path[2] == "oauth2" && path.count == 4 && (path[3] == "token" || path[3] == "jwks")
    }

    /// Whether the request's origin is registered with the tenant that the path names.
    func isRegistered(_ origin: String, path: [String]) async -> Bool {
        guard Self.covers(path), let tenant = TenantID(path[1]) else { return false }
        do {
            return try await directory.origins(of: tenant)?.contains(origin) ?? false
        } catch {
            return false
        }
    }

    /// The answer to a preflight: 204 with what is allowed, or 403 that names nothing.
    func preflight(_ origin: String, path: [String]) async throws(Problem) -> ModuleResponse {
        guard await isRegistered(origin, path: path) else { throw Problem(.originNotAllowed) }
        var headers: HTTPFields = [
            .accessControlAllowOrigin: origin, .accessControlAllowMethods: Self.allowedMethods,
            .accessControlAllowHeaders: Self.allowedHeaders, .accessControlMaxAge: "600",
        ]
        headers[.vary] = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        return ModuleResponse(status: .noContent, headers: headers)
    }

    /// Adds what lets a page of a registered origin read the answer. `Vary` is added for every path that takes part, so
    /// that no cache mixes origins.
    func decorate(_ headers: inout HTTPFields, origin: String?, isRegistered: Bool, path: [String]) {
        guard Self.covers(path) else { return }
        headers.append(HTTPField(name: .vary, value: "Origin"))
        guard let origin, isRegistered else { return }
        headers[.accessControlAllowOrigin] = origin
        headers[.accessControlExposeHeaders] = Self.exposed
    }
}
