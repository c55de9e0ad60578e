package import ApplicationRegistry
import CloudHTTP
import CloudIdentity
import CloudModel
import HTTPTypes
import ModuleKit
import NIOCore
import StrictJSON
import TenantManifest

/// `/v1/specification`, and the operation `apply`: what is asked for of every tenant, and changing it by a plan.
package struct SpecificationRoutes: Sendable {
    private let specifications: SpecificationAdministration
    private let operations: OperationAdministration
    private let writes: IdempotentWrites
    private let bodyBytes: Int

    package init(
        specifications: SpecificationAdministration, operations: OperationAdministration, ledger: IdempotencyLedger,
        limits: GatewayLimits
    ) {
        self.specifications = specifications
        self.operations = operations
        writes = IdempotentWrites(ledger: ledger)
        bodyBytes = limits.resourceBytes
    }

    package var routes: [Route] {
        [
            Route(
                .get, "/v1/specification", "showSpecification", audience: .anyPrincipal, handler: showSpecification),
            Route(
                .post, "/v1/operations", "applySpecifications", audience: .anyPrincipal, bodyLimit: bodyBytes,
                handler: applySpecifications),
        ]
    }

    /// The whole document with its revision, which is its entity tag too.
    @Sendable private func showSpecification(_ request: GatewayRequest) async throws -> ModuleResponse {
        let specification = try await specifications.specification(as: try request.caller)
        let tag = EntityTag(String(specification.revision))
        if let known = request.headers[.ifNoneMatch].flatMap({ EntityTagCondition(parsing: $0) }),
            known.matches(version: Int32(truncatingIfNeeded: specification.revision))
        {
            return ModuleResponse(status: .notModified, headers: [.eTag: tag.description])
        }
        var response = ModuleResponse.json(.ok) { writer in
            writer.object { body in
                body.member("revision", specification.revision)
                body.member("specifications", raw: specification.json.utf8)
            }
        }
        response.headers[.eTag] = tag.description
        return response
    }

    @Sendable private func applySpecifications(_ request: GatewayRequest) async throws -> ModuleResponse {
        let caller = try request.caller
        let body = try SpecificationRequest(json: try request.jsonObject)
        return try await writes.begin("POST /v1/operations", request) { key, _ in
            do {
                let id = try await specifications.asked(by: key).apply(body, as: caller)
                return .accepted(try await operations.operation(id, as: caller))
            } catch let error as SpecificationError {
                throw Self.problem(error, body)
            }
        }
    }

    private static func problem(_ error: SpecificationError, _ request: SpecificationRequest) -> Problem {
        switch error {
        case .outdated:
            return Problem(.planOutdated, "Make the plan again and look at it; nothing was done.")
        case .notAllowed(let effects):
            let words = effects.map(\.rawValue).joined(separator: " and ")
            return Problem(
                .planNotAllowed, "The plan needs to be allowed to \(words); nothing was done.",
                fields: [Problem.Field(pointer: "/allow", detail: "must name \(words)")])
        case .refused(let issues):
            return Problem(
                .specificationRefused, issues.first?.message ?? "",
                fields: issues.prefix(100).map { issue in
                    let index = request.specifications.firstIndex { $0.id.rawValue == issue.tenant }
                    // A tenant that is pruned has no place in the request.
                    let place = index.map { "/specifications/\($0)" } ?? "/prune"
                    return Problem.Field(pointer: place + issue.pointer, detail: issue.message)
                })
        }
    }
}

extension SpecificationRequest {
    private static let members = ["kind", "specifications", "planHash", "revision", "allow", "prune", "keys"]
    private static let maximumTenants = 1000

    /// Reads `{"kind": "apply", "specifications": […], "planHash", "revision", "allow"?: […], "prune"?, "keys"?: {…}}`.
    ///
    /// - Throws: `Problem` with every field that is wrong, by a pointer into the body.
    init(json body: JSONNode) throws(Problem) {
        for member in body.members where !Self.members.contains(member.key) {
            throw Self.wrong(
                "/" + member.key.prefix(100), "is not known here; known are \(Self.members.joined(separator: ", "))")
        }
        guard body["kind"]?.stringIs("apply") == true else { throw Self.wrong("/kind", "must be \"apply\"") }
        guard let revision = body["revision"]?.integer else { throw Self.wrong("/revision", "must be a whole number") }
        guard let hash = body["planHash"]?.string, hash.utf8.count == 64 else {
            throw Self.wrong("/planHash", "must be the SHA-256 of the plan in hexadecimal")
        }
        self.init(
            specifications: try Self.specifications(body["specifications"]), revision: Int64(revision), planHash: hash,
            prune: try Self.bool(body["prune"], "/prune"), allowed: try Self.allowed(body["allow"]),
            keys: try Self.keys(body["keys"]))
    }

    private static func wrong(_ pointer: String, _ detail: String) -> Problem {
        Problem(.invalidInput, "\(pointer) \(detail).", fields: [Problem.Field(pointer: pointer, detail: detail)])
    }

    private static func bool(_ node: JSONNode?, _ pointer: String) throws(Problem) -> Bool {
        guard let node else { return false }
        guard let value = node.bool else { throw wrong(pointer, "must be true or false") }
        return value
    }

    private static func specifications(_ node: JSONNode?) throws(Problem) -> [TenantSpecification] {
        guard let node, node.kind == .array, node.count <= maximumTenants else {
            throw wrong("/specifications", "must be an array of at most \(maximumTenants) specifications")
        }
        var specifications: [TenantSpecification] = []
        var fields: [Problem.Field] = []
        for (index, element) in node.elements.enumerated() {
            do throws(ManifestError) {
                specifications.append(
                    try SpecificationReader.specification(ManifestValue(element), form: .canonical))
            } catch {
                fields += error.issues.map { issue in
                    let allowed = issue.allowed.isEmpty ? "" : "; allowed: " + issue.allowed.joined(separator: ", ")
                    return Problem.Field(
                        pointer: "/specifications/\(index)\(issue.pointer)", detail: issue.message + allowed)
                }
            }
        }
        guard fields.isEmpty else {
            throw Problem(
                .invalidInput, "\(fields.count) members of the specifications are wrong.",
                fields: Array(fields.prefix(100)))
        }
        return specifications
    }

    private static func allowed(_ node: JSONNode?) throws(Problem) -> [SpecificationChange.Effect] {
        guard let node else { return [] }
        guard node.kind == .array else { throw wrong("/allow", "must be an array") }
        var effects: [SpecificationChange.Effect] = []
        for element in node.elements {
            guard let effect = element.string.flatMap({ SpecificationChange.Effect(rawValue: $0) }),
                effect.needsPermission
            else { throw wrong("/allow", "may name replace and delete") }
            effects.append(effect)
        }
        return effects
    }

    /// `{"h1": {"h1-system": {"keys": […]}}}`
    private static func keys(_ node: JSONNode?) throws(Problem) -> [String: [String: JSONWebKeySet]] {
        guard let node else { return [:] }
        guard node.kind == .object else { throw wrong("/keys", "must be an object") }
        var keys: [String: [String: JSONWebKeySet]] = [:]
        for tenant in node.members {
            guard tenant.value.kind == .object else { throw wrong("/keys", "must have an object for each tenant") }
            for client in tenant.value.members {
                do throws(IdentityError) {
                    let json = String(decoding: client.value.rawBytes, as: UTF8.self)
                    keys[tenant.key, default: [:]][client.key] = try JSONWebKeySet(json: json)
                } catch {
                    throw wrong("/keys/\(tenant.key.prefix(40))/\(client.key.prefix(70))", error.reason)
                }
            }
        }
        return keys
    }
}
