import Foundation

/// Instances, networks, quotas and use of a tenant.
extension PlatformAPI {
    /// `/v1/tenants/TENANT` and what follows, each part escaped.
    private static func path(_ tenant: String, _ parts: String...) -> String {
        "/v1/tenants/" + ([tenant] + parts).map(FormText.escape).joined(separator: "/")
    }

    /// What a tenant has under names.
    private enum Noun: String {
        case instance, network
    }

    /// The body of a good answer.
    /// - Throws: ``CommandFailure``; when the tenant or `name` is not there, it names the nearest that is.
    private func found(
        _ answer: RegionConnection.Answer, in tenant: String, _ noun: Noun? = nil, _ name: String = ""
    ) async throws -> JSONValue {
        guard answer.status == 404 else { return try Self.body(of: answer) }
        _ = try await existingTenant(tenant)
        guard let noun else { throw Self.failure(of: answer) }
        let names = try await list(Self.path(tenant, noun.rawValue + "s")).compactMap { $0[key: "name"]?.string }
        throw CommandFailure(
            .notFound,
            "Tenant \(tenant) has no \(noun.rawValue) \"\(name)\"." + Suggestion.hint(for: name, among: names)
                + " `medcloud \(noun.rawValue) list --tenant \(tenant)` shows them all.")
    }

    // MARK: Instances

    package func instances(of tenant: String) async throws -> [JSONValue] {
        _ = try await existingTenant(tenant)
        return try await list(Self.path(tenant, "instances"))
    }

    package func instance(_ name: String, of tenant: String) async throws -> JSONValue {
        try await found(try await send("GET", Self.path(tenant, "instances", name)), in: tenant, .instance, name)
    }

    /// - Returns: the operation that makes it.
    package func createInstance(_ specification: JSONValue, in tenant: String) async throws -> JSONValue {
        try await found(try await send("POST", Self.path(tenant, "instances"), body: specification), in: tenant)
    }

    /// - Parameter verb: `start`, `stop` or `reboot`.
    /// - Returns: the operation that does it.
    package func change(_ name: String, _ verb: String, of tenant: String) async throws -> JSONValue {
        try await found(try await send("POST", Self.path(tenant, "instances", name, verb)), in: tenant, .instance, name)
    }

    /// - Returns: the operation that removes it.
    package func deleteInstance(_ name: String, of tenant: String) async throws -> JSONValue {
        try await found(try await send("DELETE", Self.path(tenant, "instances", name)), in: tenant, .instance, name)
    }

    /// The end of what the guest wrote to its console.
    package func console(of name: String, tenant: String) async throws -> [UInt8] {
        let answer = try await send("GET", Self.path(tenant, "instances", name, "console"))
        guard answer.status < 300 else {
            _ = try await found(answer, in: tenant, .instance, name)
            throw Self.failure(of: answer)
        }
        return answer.body
    }

    // MARK: Networks

    package func networks(of tenant: String) async throws -> [JSONValue] {
        _ = try await existingTenant(tenant)
        return try await list(Self.path(tenant, "networks"))
    }

    package func network(_ name: String, of tenant: String) async throws -> JSONValue {
        try await found(try await send("GET", Self.path(tenant, "networks", name)), in: tenant, .network, name)
    }

    /// - Returns: the operation that makes it.
    package func createNetwork(_ name: String, cidr: String, in tenant: String) async throws -> JSONValue {
        let body = JSONValue.object(["name": .string(name), "cidr": .string(cidr)])
        return try await found(try await send("POST", Self.path(tenant, "networks"), body: body), in: tenant)
    }

    /// - Returns: the operation that removes it.
    package func deleteNetwork(_ name: String, of tenant: String) async throws -> JSONValue {
        try await found(try await send("DELETE", Self.path(tenant, "networks", name)), in: tenant, .network, name)
    }

    // MARK: Quota and use

    /// By dimension: limit, used, remaining.
    package func quota(of tenant: String) async throws -> JSONValue {
        try await found(try await send("GET", Self.path(tenant, "quota")), in: tenant)
    }

    package func setQuota(_ limits: [String: Int64], of tenant: String) async throws -> JSONValue {
        let body = JSONValue.object(limits.mapValues { .integer($0) })
        return try await found(try await send("PUT", Self.path(tenant, "quota"), body: body), in: tenant)
    }

    /// - Parameters:
    ///   - begin: RFC 3339; nil is a day before the end.
    ///   - end: RFC 3339; nil is now.
    package func usage(of tenant: String, from begin: String?, to end: String?) async throws -> JSONValue {
        let query = [("from", begin), ("to", end)].compactMap { name, value in value.map { (name, $0) } }
        let suffix = query.isEmpty ? "" : "?" + FormText.encode(query)
        let first = try await found(try await send("GET", Self.path(tenant, "usage") + suffix), in: tenant)
        guard case .object(var usage) = first else { throw CommandFailure(.failed, "The region's answer is no usage.") }
        var items = first[key: "items"]?.elements ?? []
        // What a tenant used is known after its end too; who was never there has used nothing.
        if items.isEmpty { _ = try await existingTenant(tenant) }
        if let next = first[key: "next"]?.string { items += try await list(next) }
        usage["items"] = .array(items)
        usage["next"] = nil
        return .object(usage)
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
