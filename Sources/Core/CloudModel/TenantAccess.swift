/// The right to open one tenant's database, and where it came from.
///
/// A database handle needs one. It is minted in five kinds of place only, each named by ``Origin``; `ops/check-imports`
/// refuses a mint anywhere else. The origin is written into the audit event of every use.
package struct TenantAccess: Sendable, Hashable {
    /// Why this process may touch the tenant's data.
    package enum Origin: String, Sendable, Hashable {
        /// A verified access token of this tenant.
        case token
        /// A sharing decision recorded in the region database.
        case sharingDecision = "sharing-decision"
        /// The verified identity context of a module call.
        case moduleContext = "module-context"
        /// A leased outbox, job or operation row.
        case lease
        /// The controller: provisioning, migration, backup.
        case controller
    }

    package let tenant: TenantID
    package let origin: Origin

    package init(minting tenant: TenantID, origin: Origin) {
        self.tenant = tenant
        self.origin = origin
    }
}
