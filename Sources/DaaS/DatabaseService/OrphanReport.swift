import Coordination
import Logging
import TenantRegistry

extension LeaderDuty {
    /// Looks, when a controller begins to lead and then hourly, for databases and roles of the cell that no tenant's row
    /// names: left by a restore of the control database from an older backup. They are reported, never removed.
    static func orphanReport(provisioner: TenantProvisioner, logger: Logger) -> LeaderDuty {
        LeaderDuty("orphans", every: .seconds(3600)) { leader in
            // In this order: what is being made has its row before its first role.
            let present = try await provisioner.namesPresent()
            let known = Set(try await ControllerDatabase(pool: leader.control).tenants().map(\.database))
            let orphans = present.map(\.rawValue).filter { !known.contains($0) }.sorted()
            guard !orphans.isEmpty else { return }
            logger.warning(
                "databases or roles of no tenant",
                metadata: ["count": "\(orphans.count)", "names": "\(orphans.prefix(20).joined(separator: " "))"])
        }
    }
}
