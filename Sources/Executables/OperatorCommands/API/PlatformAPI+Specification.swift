import CloudModel
import Foundation
import StrictJSON
package import TenantManifest

/// What the region has on record of its tenants, at one moment.
package struct RegionSpecification: Sendable {
    /// Counts every change of it.
    package let revision: Int64
    package let specifications: [TenantSpecification]
}

/// What is asked of the region in one go.
package struct ApplyRequest: Sendable {
    package var specifications: [TenantSpecification]
    package var revision: Int64
    package var planHash: String
    package var prune: Bool
    package var allowed: [SpecificationChange.Effect]
    /// Public keys that were made for clients, JSON Web Key Sets by tenant and client.
    package var keys: [String: [String: JSONValue]]
}

extension PlatformAPI {
    package func specification() async throws -> RegionSpecification {
        let answer = try await send("GET", "/v1/specification")
        guard answer.status == 200 else { throw Self.failure(of: answer) }
        do {
            let root = try JSONDocument(answer.body).root
            guard let revision = root["revision"]?.integer, let list = root["specifications"] else {
                throw CommandFailure(.failed, "")
            }
            var specifications: [TenantSpecification] = []
            for element in list.elements {
                specifications.append(
                    try SpecificationReader.specification(ManifestValue(element), form: .recorded))
            }
            return RegionSpecification(revision: Int64(revision), specifications: specifications)
        } catch {
            throw CommandFailure(
                .failed, "The region's specification cannot be read; it is of another version than this `medcloud`.")
        }
    }

    /// Asks for everything of a plan at once.
    ///
    /// - Returns: the operation, as the region has accepted it.
    /// - Throws: ``CommandFailure``, with `refused` when the region has changed since the plan was made;
    ///   ``ManifestError`` for what the region finds wrong, by tenant.
    package func apply(_ request: ApplyRequest) async throws -> JSONValue {
        var body: [String: JSONValue] = [
            "kind": .string("apply"), "planHash": .string(request.planHash), "revision": .integer(request.revision),
            "prune": .bool(request.prune), "allow": .array(request.allowed.map { .string($0.rawValue) }),
            "keys": .object(request.keys.mapValues { .object($0) }),
        ]
        body["specifications"] = .array(try request.specifications.map { try JSONValue(parsing: $0.canonicalJSON) })
        let answer = try await send("POST", "/v1/operations", body: .object(body))
        guard answer.status == 202, let operation = answer.json else { throw Self.refusal(of: answer, to: request) }
        return operation
    }

    /// Pointers into the request become pointers into the tenant they are about.
    private static func refusal(of answer: RegionConnection.Answer, to request: ApplyRequest) -> any Error {
        let fields = answer.json?[key: "errors"]?.elements ?? []
        let issues = fields.compactMap { field -> ManifestIssue? in
            guard let pointer = field[key: "pointer"]?.string, let detail = field[key: "detail"]?.string else {
                return nil
            }
            let parts = pointer.split(separator: "/", maxSplits: 2).map(String.init)
            guard parts.count >= 2, parts[0] == "specifications", let index = Int(parts[1]),
                request.specifications.indices.contains(index)
            else { return nil }
            return ManifestIssue(
                tenant: request.specifications[index].id.rawValue, pointer: parts.count == 3 ? "/" + parts[2] : "",
                message: detail)
        }
        return issues.isEmpty || issues.count < fields.count ? failure(of: answer) : ManifestError(issues)
    }

    /// The operations that an operation is made of.
    package func parts(of operation: String) async throws -> [JSONValue] {
        try await operations([("parent", operation)], limit: 10_000)
    }
}
