import ClinicalData
import HTTPTypes

/// What a method and a path ask for (FHIR R4 http.html), before any header or body is looked at.
enum Interaction: Sendable, Hashable {
    case capabilities
    case read(ResourceType, id: String)
    case readVersion(ResourceType, id: String, version: String)
    case history(HistoryScope)
    case create(ResourceType)
    case update(ResourceType, id: String)
    case updateWhere(ResourceType)
    case patch(ResourceType, id: String)
    case patchWhere(ResourceType)
    case delete(ResourceType, id: String)
    case deleteWhere(ResourceType)
    /// `type` is nil at system level and for `Patient/1/*`.
    case search(ResourceType?, compartment: SearchRequest.Compartment?, isForm: Bool)
    case bundle

    /// - Parameter path: Decoded segments below the FHIR base.
    /// - Throws: 404 for what does not exist, 405 for a method that does not fit, 400 for an id that cannot be one.
    init(_ method: HTTPRequest.Method, path: [String]) throws(FHIRFailure) {
        if let operation = path.first(where: { $0.hasPrefix("$") }) {
            throw FHIRFailure(404, "not-supported", "There is no operation '\(operation)' here.")
        }
        guard let first = path.first else {
            self = try Self.pick(
                method, [.get: .search(nil, compartment: nil, isForm: false), .post: .bundle])
            return
        }
        switch (first, path.count) {
        case ("metadata", 1):
            self = try Self.pick(method, [.get: .capabilities])
            return
        case ("_history", 1):
            self = try Self.pick(method, [.get: .history(.system(types: nil))])
            return
        case ("_search", 1):
            self = try Self.pick(method, [.post: .search(nil, compartment: nil, isForm: true)])
            return
        default:
            guard let type = ResourceType.named(first) else { throw .unknownType(first) }
            self = try Self.below(type, method, Array(path.dropFirst()))
        }
        if case .read(let type, _) = self, type.isAuditEvent { return }
        try checkAuditEvent()
    }

    private static func below(
        _ type: ResourceType, _ method: HTTPRequest.Method, _ rest: [String]
    ) throws(FHIRFailure) -> Interaction {
        switch rest.count {
        case 0:
            return try pick(
                method,
                [
                    .get: .search(type, compartment: nil, isForm: false), .post: .create(type),
                    .put: .updateWhere(type), .patch: .patchWhere(type), .delete: .deleteWhere(type),
                ])
        case 1 where rest[0] == "_history":
            return try pick(method, [.get: .history(.type(type))])
        case 1 where rest[0] == "_search":
            return try pick(method, [.post: .search(type, compartment: nil, isForm: true)])
        default:
            break
        }
        let id = rest[0]
        guard ResourceID.isValid(id) else {
            // Nothing can be made under this id; elsewhere nothing is found under it.
            guard method != .put else {
                throw FHIRFailure(400, "value", "An id is 1 to 64 letters, digits, hyphens and dots.", at: "id")
            }
            throw FHIRFailure(
                404, "not-found", "An id is 1 to 64 letters, digits, hyphens and dots, so nothing has this one.")
        }
        switch rest.count {
        case 1:
            return try pick(
                method,
                [
                    .get: .read(type, id: id), .put: .update(type, id: id), .patch: .patch(type, id: id),
                    .delete: .delete(type, id: id),
                ])
        case 2 where rest[1] == "_history":
            return try pick(method, [.get: .history(.instance(type, id: id))])
        case 3 where rest[1] == "_history":
            return try pick(method, [.get: .readVersion(type, id: id, version: rest[2])])
        case 2, 3:
            let compartment = SearchRequest.Compartment(type: type, id: id)
            var target: ResourceType?
            if rest[1] != "*" {
                guard let named = ResourceType.named(rest[1]) else { throw .unknownType(rest[1]) }
                target = named
            }
            if rest.count == 2 {
                return try pick(method, [.get: .search(target, compartment: compartment, isForm: false)])
            }
            guard rest[2] == "_search" else { break }
            return try pick(method, [.post: .search(target, compartment: compartment, isForm: true)])
        default:
            break
        }
        throw FHIRFailure(404, "not-found", "There is nothing at this path.")
    }

    /// HEAD is GET without a body, which the gateway drops.
    private static func pick(
        _ method: HTTPRequest.Method, _ choices: [HTTPRequest.Method: Interaction]
    ) throws(FHIRFailure) -> Interaction {
        if let choice = choices[method == .head ? .get : method] { return choice }
        var allowed = choices.keys.map(\.rawValue)
        if choices[.get] != nil { allowed.append("HEAD") }
        throw .methodNotAllowed(allowed.sorted())
    }

    /// Audit events are read and searched, never written, and have no versions.
    private func checkAuditEvent() throws(FHIRFailure) {
        switch self {
        case .create(let type), .update(let type, _), .updateWhere(let type), .patch(let type, _),
            .patchWhere(let type), .delete(let type, _), .deleteWhere(let type):
            if type.isAuditEvent { throw .methodNotAllowed(["GET", "HEAD"]) }
        case .readVersion(let type, _, _), .history(.type(let type)), .history(.instance(let type, _)):
            if type.isAuditEvent {
                throw FHIRFailure(404, "not-supported", "Audit events have one version and no history.")
            }
        case .capabilities, .read, .history(.system), .search, .bundle:
            return
        }
    }
}

extension ResourceType {
    var isAuditEvent: Bool { name == "AuditEvent" }
}
