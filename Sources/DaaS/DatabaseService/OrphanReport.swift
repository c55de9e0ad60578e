import Coordination
import ResourcePools
import TenantRegistry

extension LeaderDuty {
    /// Looks for databases and roles of the cell that no tenant's row names: left by a restore of the control database from an
    /// older backup, or made by hand. They are reported as drift of the region, never removed.
    static func orphanReport(provisioner: TenantProvisioner) -> LeaderDuty {
        LeaderDuty("orphans", every: .seconds(10)) { leader in
            // In this order: what is being made has its row before its first role.
            let present = try await provisioner.namesPresent()
            let known = Set(try await ControllerDatabase(pool: leader.control).tenants().map(\.database))
            var orphans = present.filter { !known.contains($0.key.rawValue) }
            // And what is being removed has lost its last role before its row.
            if !orphans.isEmpty {
                let still = try await provisioner.namesPresent()
                orphans = orphans.filter { still[$0.key] != nil }
            }
            let findings = orphans.map { name, found in
                DriftFinding(
                    tenant: nil, resource: name.rawValue, kind: .orphan, name: nil, expected: "nothing", found: found,
                    action: .reported)
            }
            try await PoolStore(leader: leader).record(
                findings.sorted { $0.resource < $1.resource }, in: .databases)
        }
    }
}
