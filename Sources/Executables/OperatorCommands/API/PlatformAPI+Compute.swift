import Foundation

/// Instances, networks, quotas and use of a tenant.
extension PlatformAPI {
    /// `/v1/tenants/TENANT` and what follows, each part escaped.
    private static func path(_ tenant: String, _ parts: String...) -> String {
        "/v1/tenants/" + ([tenant] + parts).map(FormText.escape).joined(separator: "/")
    }

    // MARK: Instances

    package func instances(of tenant: String) async throws -> [JSONValue] {
        try await list(Self.path(tenant, "instances"))
    }

    package func instance(_ name: String, of tenant: String) async throws -> JSONValue {
        try Self.body(of: try await send("GET", Self.path(tenant, "instances", name)))
    }

    /// - Returns: the operation that makes it.
    package func createInstance(_ specification: JSONValue, in tenant: String) async throws -> JSONValue {
        try Self.body(of: try await send("POST", Self.path(tenant, "instances"), body: specification))
    }

    /// - Parameter verb: `start`, `stop` or `reboot`.
    /// - Returns: the operation that does it.
    package func change(_ name: String, _ verb: String, of tenant: String) async throws -> JSONValue {
        try Self.body(of: try await send("POST", Self.path(tenant, "instances", name, verb)))
    }

    /// - Returns: the operation that removes it.
    package func deleteInstance(_ name: String, of tenant: String) async throws -> JSONValue {
        try Self.body(of: try await send("DELETE", Self.path(tenant, "instances", name)))
    }

    /// The end of what the guest wrote to its console.
    package func console(of name: String, tenant: String) async throws -> [UInt8] {
        let answer = try await send("GET", Self.path(tenant, "instances", name, "console"))
        guard answer.status < 300 else { throw Self.failure(of: answer) }
        return answer.body
    }

    // MARK: Networks

    package func networks(of tenant: String) async throws -> [JSONValue] {
        try await list(Self.path(tenant, "networks"))
    }

    package func network(_ name: String, of tenant: String) async throws -> JSONValue {
        try Self.body(of: try await send("GET", Self.path(tenant, "networks", name)))
    }

    /// - Returns: the operation that makes it.
    package func createNetwork(_ name: String, cidr: String, in tenant: String) async throws -> JSONValue {
        let body = JSONValue.object(["name": .string(name), "cidr": .string(cidr)])
        return try Self.body(of: try await send("POST", Self.path(tenant, "networks"), body: body))
    }

    /// - Returns: the operation that removes it.
    package func deleteNetwork(_ name: String, of tenant: String) async throws -> JSONValue {
        try Self.body(of: try await send("DELETE", Self.path(tenant, "networks", name)))
    }

    // MARK: Quota and use

    /// By dimension: limit, used, remaining.
    package func quota(of tenant: String) async throws -> JSONValue {
        try Self.body(of: try await send("GET", Self.path(tenant, "quota")))
    }

    package func setQuota(_ limits: [String: Int64], of tenant: String) async throws -> JSONValue {
        let body = JSONValue.object(limits.mapValues { .integer($0) })
        return try Self.body(of: try await send("PUT", Self.path(tenant, "quota"), body: body))
    }

    /// - Parameters:
    ///   - begin: RFC 3339; nil is a day before the end.
    ///   - end: RFC 3339; nil is now.
    package func usage(of tenant: String, from begin: String?, to end: String?) async throws -> JSONValue {
        let query = [("from", begin), ("to", end)].compactMap { name, value in value.map { (name, $0) } }
        let suffix = query.isEmpty ? "" : "?" + FormText.encode(query)
        return try Self.body(of: try await send("GET", Self.path(tenant, "usage") + suffix))
    }

    /// The images that instances can be made from.
    package func images() async throws -> [JSONValue] {
        try await list("/v1/images")
    }

    /// What is not as it was asked for.
    package func drift() async throws -> [JSONValue] {
        try await list("/v1/drift")
    }
}
