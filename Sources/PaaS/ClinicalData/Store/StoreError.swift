import PostgresDriver

/// Why a write was refused. Refusals name the operation of the batch; nothing of the batch was stored.
package enum StoreError: Error, Sendable {
    /// `If-Match` names another version than the current one (nil: there is none), or `If-None-Match: *` met a resource.
    case versionConflict(operation: Int, current: Int32?)
    /// A server-assigned identity is taken.
    case identityExists(operation: Int)
    /// A patch of what does not exist or is deleted.
    case nothingToPatch(operation: Int)

    /// Reads the SQLSTATEs of `fhir.write`; nil when the error is not one of them.
    init?(_ error: PostgresError) {
        guard let state = error.sqlState, state.hasPrefix("MC") else { return nil }
        let parts = (error.detail ?? "").split(separator: ",")
        let operation = (parts.first.flatMap { Int($0) } ?? 1) - 1
        let current = parts.count > 1 ? Int32(parts[1]) : nil
        switch state {
        case "MC404": self = .nothingToPatch(operation: operation)
        case "MC409": self = .identityExists(operation: operation)
        case "MC412": self = .versionConflict(operation: operation, current: current == 0 ? nil : current)
        default: return nil
        }
    }
}
