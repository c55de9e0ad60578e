import CloudHTTP
package import CloudModel
package import TenantRegistry

/// Opens what a module may use for a tenant.
package protocol TenantOpening: Sendable {
    /// If this process has it open already; never waits.
    func opened(_ access: TenantAccess) -> TenantDatabase?
    func open(_ access: TenantAccess) async throws(TenantRegistryError) -> TenantDatabase
}

extension TenantDatabases: TenantOpening {}

extension Problem {
    /// What a client learns about a failure of the registry. An unknown tenant is the one 404.
    init(_ error: TenantRegistryError) {
        switch error.code {
        case .unknownTenant: self = .nothingHere
        case .conflict: self.init(.conflict, error.message)
        case .cellFull: self.init(.cellFull, error.message)
        case .invalidValue:
            self.init(
                .invalidInput, error.message,
                fields: error.field.map { [Field(pointer: "/" + $0, detail: error.message)] } ?? [])
        case .denied: self.init(.insufficientScope)
        case .notReady: self.init(.unavailable, "The tenant is being made or removed.", retryAfter: 2)
        case .unavailable:
            self.init(.unavailable, "A database does not answer now.", retryAfter: 1)
        default: self.init(.internalError)
        }
    }
}
