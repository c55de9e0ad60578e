package import CloudIdentity
package import CloudModel
package import StrictJSON
import TenantManifest
package import TenantRegistry

/// An OAuth client of a tenant or of the region.
package struct ClientRecord: Sendable {
    /// `client_id`
    package let id: String
    /// Nil is the region.
    package let tenant: TenantID?
    /// Of a client of the region: the tenant that it acts for.
    package let institution: TenantID?
    package let name: String
    package let kind: Principal.Kind
    package let keys: JSONWebKeySet
    /// The only `jku` its assertions may name. Never fetched.
    package let keySetURL: String?
    /// What it may ask for at most.
    package let scopes: ScopeSet
    /// Browser origins it may call from: `https://portal.example`.
    package let origins: [String]
    package let isDisabled: Bool
    /// RFC 3339, UTC.
    package let createdAt: String

    /// What the platform API answers: ``ClientDescription``.
    package func description(endpoints: IdentityEndpoints) -> ClientDescription {
        ClientDescription(
            id: id, tenant: tenant?.rawValue, institution: institution?.rawValue, name: name, kind: kind.rawValue,
            scope: scopes.text,
            keyIDs: keys.keys.map(\.keyID), origins: origins, isDisabled: isDisabled, createdAt: createdAt,
            tokenEndpoint: endpoints.token(tenant), fhirBase: endpoints.fhirBase(tenant))
    }
}

/// A client as the platform API shows it. Nothing in it is secret.
package struct ClientDescription: Sendable, Hashable, Codable {
    package let id: String
    package let tenant: String?
    package let institution: String?
    package let name: String
    package let kind: String
    package let scope: String
    package let keyIDs: [String]
    package let origins: [String]
    package let isDisabled: Bool
    package let createdAt: String
    package let tokenEndpoint: String
    package let fhirBase: String

    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("id", id)
            $0.member("tenant", tenant)
            $0.member("institution", institution)
            $0.member("name", name)
            $0.member("kind", kind)
            $0.member("scope", scope)
            $0.arrayMember("keyIDs") { list in
                for keyID in keyIDs { list.string(keyID) }
            }
            $0.arrayMember("origins") { list in
                for origin in origins { list.string(origin) }
            }
            $0.member("isDisabled", isDisabled)
            $0.member("createdAt", createdAt)
            $0.member("tokenEndpoint", tokenEndpoint)
            $0.member("fhirBase", fhirBase)
        }
    }
}

/// What is said about a client to be made. The private key never comes along.
package struct NewClient: Sendable {
    package let id: String
    package let name: String
    package let kind: Principal.Kind
    package let scopes: ScopeSet
    package let keys: JSONWebKeySet
    package let keySetURL: String?
    package let origins: [String]
    /// Of a client of the region: the tenant that it acts for.
    package let institution: TenantID?

    package init(
        id: String, name: String, kind: Principal.Kind = .systemClient, scopes: ScopeSet, keys: JSONWebKeySet,
        keySetURL: String? = nil, origins: [String] = [], institution: TenantID? = nil
    ) {
        self.id = id
        self.name = name
        self.kind = kind
        self.scopes = scopes
        self.keys = keys
        self.keySetURL = keySetURL
        self.origins = origins
        self.institution = institution
    }

    /// Reads the body of `POST /v1/tenants/{id}/clients`:
    /// `{"id", "name", "scope", "jwks": {"keys": […]}, "kind"?: "system" | "tenant-administrator", "jwksURI"?, "origins"?: […]}`, and that of `POST /v1/clients`, which
    /// has `"institution"` beside them and `"kind": "system"` only.
    ///
    /// - Parameter isOfRegion: Whether the client is to be one of the region, which acts for an institution.
    /// - Throws: `invalid-value` with the member that is wrong or unknown.
    package init(json node: JSONNode, isOfRegion: Bool = false) throws(TenantRegistryError) {
        let object = try RequestObject(
            node,
            known: ["id", "name", "scope", "jwks", "kind", "jwksURI", "origins"] + (isOfRegion ? ["institution"] : []))
        let word = try object.optionalText("kind") ?? Principal.Kind.systemClient.rawValue
        guard let kind = Principal.Kind(rawValue: word), kind == .systemClient || kind == .tenantAdministrator else {
            throw TenantRegistryError.invalid("kind", "must be \"system\" or \"tenant-administrator\"")
        }
        var institution: TenantID?
        if isOfRegion {
            guard kind == .systemClient else {
                throw TenantRegistryError.invalid("kind", "of a client of the region must be \"system\"")
            }
            institution = TenantID(try object.text("institution"))
            guard institution != nil else {
                throw TenantRegistryError.invalid("institution", "must be the id of a tenant")
            }
        }
        guard let keys = node["jwks"] else { throw TenantRegistryError.invalid("jwks", "is missing") }
        let id = try object.text("id")
        let name = try object.text("name", .displayName)
        let scope = try object.text("scope")
        let keySetURL = try object.optionalText("jwksURI")
        let origins = try object.origins("origins")
        do throws(IdentityError) {
            self.init(
                id: id, name: name, kind: kind, scopes: try ScopeSet.asked(scope),
                keys: try JSONWebKeySet(json: String(decoding: keys.rawBytes, as: UTF8.self)), keySetURL: keySetURL,
                origins: origins, institution: institution)
        } catch {
            let field = error.code == .scope ? "scope" : "jwks"
            throw TenantRegistryError(
                .invalidValue, "\(field): \(error.reason)", field: field)
        }
    }
}

/// An object of a request whose members are all known.
struct RequestObject {
    private let node: JSONNode

    init(_ node: JSONNode, known: [String]) throws(TenantRegistryError) {
        guard node.kind == .object else { throw TenantRegistryError(.invalidValue, "the body must be a JSON object") }
        for member in node.members where !known.contains(member.key) {
            throw TenantRegistryError.invalid(
                member.key, "is not known here; known are \(known.joined(separator: ", "))")
        }
        self.node = node
    }

    /// At most 32 labels; none when it is not there.
    func labels(_ name: String) throws(TenantRegistryError) -> [String: String] {
        guard let value = node[name] else { return [:] }
        guard value.kind == .object else { throw TenantRegistryError.invalid(name, "must be an object") }
        var labels: [String: String] = [:]
        for member in value.members {
            guard let text = member.value.string else {
                throw TenantRegistryError.invalid(name, "must be an object of text values")
            }
            guard TextRule.labelKey.allows(member.key) else {
                throw TenantRegistryError.invalid(name, "has a key that is not \(TextRule.labelKey.sentence)")
            }
            guard TextRule.labelValue.allows(text) else {
                throw TenantRegistryError.invalid(name, "has a value that is not \(TextRule.labelValue.sentence)")
            }
            labels[member.key] = text
        }
        guard labels.count <= 32 else { throw TenantRegistryError.invalid(name, "must be at most 32") }
        return labels
    }

    func optionalText(_ name: String) throws(TenantRegistryError) -> String? {
        guard let value = node[name] else { return nil }
        guard let text = value.string else { throw TenantRegistryError.invalid(name, "must be text") }
        return text
    }

    /// A list of origins (RFC 6454): scheme, host and port, compared byte by byte later, so written as browsers write them.
    func origins(_ name: String) throws(TenantRegistryError) -> [String] {
        guard let list = node[name] else { return [] }
        guard list.kind == .array else { throw TenantRegistryError.invalid(name, "must be an array") }
        var origins: [String] = []
        for item in list.elements {
            guard let origin = item.string, origin.utf8.count <= 255, Self.isOrigin(origin) else {
                throw TenantRegistryError.invalid(
                    name, "must be like https://portal.example or http://localhost:8080")
            }
            origins.append(origin)
        }
        return origins
    }

    private static func isOrigin(_ text: String) -> Bool {
        guard let scheme = ["https://", "http://"].first(where: { text.hasPrefix($0) }) else { return false }
        let parts = text.dropFirst(scheme.count).split(separator: ":", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let host = parts.first, !host.isEmpty else { return false }
        let isHost = host.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                UInt8(ascii: "."):
                true
            default: false
            }
        }
        return isHost && (parts.count == 1 || UInt16(parts[1]) != nil)
    }

    func text(_ name: String, _ rule: TextRule? = nil) throws(TenantRegistryError) -> String {
        guard let text = try optionalText(name) else {
            throw TenantRegistryError.invalid(name, "is missing")
        }
        if let rule, !rule.allows(text) { throw TenantRegistryError.invalid(name, "must be \(rule.sentence)") }
        return text
    }
}
