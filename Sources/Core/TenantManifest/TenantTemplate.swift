/// What a manifest begins with when it names a template: enough that a clinic is its name, its place and nothing else.
/// What the manifest says itself comes on top: single values win, quotas member by member, clients by id.
package enum TenantTemplate: String, Sendable, Hashable, CaseIterable {
    case bureau, hospital, clinic, pharmacy, partner

    package var kind: TenantKind {
        switch self {
        case .bureau: .bureau
        case .hospital: .hospital
        case .clinic: .clinic
        case .pharmacy: .pharmacy
        case .partner: .partner
        }
    }

    /// A hospital runs a few machines of its own; a clinic and a pharmacy one; a bureau and a partner none until they ask.
    package var quota: TenantQuota {
        var quota = TenantQuota()
        switch self {
        case .hospital:
            quota[.instances] = 4
            quota[.running] = 4
            quota[.vcpus] = 8
            quota[.memory] = 8 << 30
            quota[.storage] = 64 << 30
            quota[.networks] = 2
        case .clinic, .pharmacy:
            quota[.instances] = 1
            quota[.running] = 1
            quota[.vcpus] = 2
            quota[.memory] = 2 << 30
            quota[.storage] = 16 << 30
            quota[.networks] = 1
        case .bureau, .partner: break
        }
        return quota
    }

    /// The tenant's own system, which may do everything in the tenant's records. A partner has no records.
    package func clients(of id: String) -> [TenantClient] {
        switch self {
        case .bureau, .hospital, .clinic, .pharmacy:
            [TenantClient(id: "\(id)-system", name: "System of \(id)", scopes: "system/*.cruds")]
        case .partner: []
        }
    }
}
