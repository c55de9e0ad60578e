package import CloudModel
package import StrictJSON

/// One difference between what is asked for and what is on record.
package struct SpecificationChange: Sendable, Hashable {
    /// What making it true does to what runs.
    package enum Effect: String, Sendable, Hashable, CaseIterable {
        /// Written down only.
        case none
        /// Takes effect while everything goes on.
        case live
        /// The instance is restarted; disk, addresses and identity stay.
        case restart
        /// The thing is removed with what it holds and made anew.
        case replace
        case create
        /// The thing is removed with what it holds.
        case delete

        /// Whether it must be allowed by name.
        package var needsPermission: Bool { self == .replace || self == .delete }
    }

    package let tenant: TenantID
    /// JSON pointer within the tenant; list elements by name. "" is the tenant itself.
    package let path: String
    package let effect: Effect
    /// Canonical JSON; nil when there was nothing.
    package let before: String?
    /// Canonical JSON; nil when there will be nothing.
    package let after: String?

    package init(tenant: TenantID, path: String, effect: Effect, before: String?, after: String?) {
        self.tenant = tenant
        self.path = path
        self.effect = effect
        self.before = before
        self.after = after
    }

    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.key("after")
            Self.write(after, to: &$0)
            $0.key("before")
            Self.write(before, to: &$0)
            $0.member("effect", effect.rawValue)
            $0.member("path", path)
            $0.member("tenant", tenant.rawValue)
        }
    }

    private static func write(_ json: String?, to writer: inout JSONWriter) {
        if let json { writer.raw(json.utf8) } else { writer.null() }
    }
}

/// One act that makes changes true, with the values it needs; an act may cover several changes of the same thing.
package enum PlanStep: Sendable, Hashable {
    case createTenant(TenantSpecification)
    /// Kind, name, time zone, language, labels and drift policy.
    case updateTenant(TenantSpecification)
    case setQuota(TenantID, TenantQuota)
    case createClient(TenantID, TenantClient)
    case updateClient(TenantID, TenantClient)
    /// Ends a client's access; its name stays taken.
    case disableClient(TenantID, TenantClient)
    case createNetwork(TenantID, TenantNetwork)
    case deleteNetwork(TenantID, String)
    case createInstance(TenantID, TenantInstance)
    case updateInstance(TenantID, TenantInstance)
    case deleteInstance(TenantID, String)
    case deleteTenant(TenantID)
}
