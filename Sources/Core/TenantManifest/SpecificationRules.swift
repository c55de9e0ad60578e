package import CloudModel

// Rules that need more than one value: within a tenant, and among tenants. Pointers name list elements by their names.

extension TenantSpecification {
    /// What is wrong within the tenant: references to nothing, and a quota below what it asks for itself.
    package var issues: [ManifestIssue] {
        var issues: [ManifestIssue] = []
        func report(_ pointer: String, _ message: String, found: String? = nil, allowed: [String] = []) {
            issues.append(
                ManifestIssue(tenant: id.rawValue, pointer: pointer, message: message, found: found, allowed: allowed))
        }
        let names = networks.map(\.name)
        for instance in instances where !names.contains(instance.network) {
            report(
                "/instances/\(instance.name)/network", "there is no network \"\(instance.network)\" in this tenant",
                found: instance.network, allowed: names)
        }
        let use = TenantQuota.use(of: instances, networks)
        for dimension in TenantQuota.Dimension.all where quota[dimension] < use[dimension] {
            let text = { (value: Int64) in dimension.isBytes ? ByteSize.text(value) : String(value) }
            report(
                "/quota/\(dimension.name)",
                "the quota of \(dimension.name) is \(text(quota[dimension])), and this tenant asks for "
                    + text(use[dimension]))
        }
        for (index, network) in networks.enumerated() {
            for other in networks[..<index] where network.block.overlaps(other.block) {
                report(
                    "/networks/\(network.name)/cidr", Self.overlap(network, other.block, "its network \(other.name)"))
            }
        }
        return issues
    }

    static func overlap(_ network: TenantNetwork, _ block: AddressBlock, _ whose: String) -> String {
        "\(network.block) overlaps \(block) of \(whose)"
    }
}

/// Rules among the tenants of a region.
package enum SpecificationRules {
    /// Client ids of the region that no tenant's client may take.
    package static let reservedRegionClients: Set<String> = ["operator"]

    /// What is wrong among tenants: the same one twice, networks that overlap, one client id of the region twice.
    ///
    /// - Parameter subjects: whose issues count; what other tenants have among themselves is theirs. Nil is all.
    package static func issues(
        among specifications: [TenantSpecification], of subjects: Set<TenantID>? = nil
    ) -> [ManifestIssue] {
        var issues: [ManifestIssue] = []
        var seen: Set<TenantID> = []
        for specification in specifications where !seen.insert(specification.id).inserted {
            issues.append(
                ManifestIssue(
                    tenant: specification.id.rawValue, pointer: "/id",
                    message: "there are two tenants \"\(specification.id)\""))
        }
        return issues + overlaps(specifications, subjects) + regionClients(specifications, subjects)
    }

    /// Sorted by their beginning, blocks overlap only with what came before and has not ended: no pair is compared that
    /// need not be.
    private static func overlaps(
        _ specifications: [TenantSpecification], _ subjects: Set<TenantID>?
    ) -> [ManifestIssue] {
        let all = specifications.flatMap { tenant in tenant.networks.map { (tenant.id, $0) } }.sorted {
            ($0.1.block.first, $0.1.block.length, $0.0.rawValue) < ($1.1.block.first, $1.1.block.length, $1.0.rawValue)
        }
        var issues: [ManifestIssue] = []
        // The blocks around the one at hand, outermost first: CIDR blocks nest or are disjoint.
        var open: [(TenantID, TenantNetwork)] = []
        for (tenant, network) in all {
            while let last = open.last, !last.1.block.overlaps(network.block) { open.removeLast() }
            for (other, outer) in open where other != tenant {
                if subjects?.contains(tenant) ?? true {
                    issues.append(overlap(tenant, network, other, outer))
                } else if subjects?.contains(other) ?? true {
                    issues.append(overlap(other, outer, tenant, network))
                }
            }
            open.append((tenant, network))
        }
        return issues
    }

    private static func overlap(
        _ tenant: TenantID, _ network: TenantNetwork, _ other: TenantID, _ its: TenantNetwork
    ) -> ManifestIssue {
        ManifestIssue(
            tenant: tenant.rawValue, pointer: "/networks/\(network.name)/cidr",
            message: TenantSpecification.overlap(network, its.block, "tenant \(other), network \(its.name)"))
    }

    private static func regionClients(
        _ specifications: [TenantSpecification], _ subjects: Set<TenantID>?
    ) -> [ManifestIssue] {
        var owners: [String: TenantID] = [:]
        var issues: [ManifestIssue] = []
        for tenant in specifications {
            for client in tenant.clients where client.realm == .region {
                let owner = owners[client.id]
                guard owner != nil || reservedRegionClients.contains(client.id) else {
                    owners[client.id] = tenant.id
                    continue
                }
                guard let subjects, let owner, !subjects.contains(tenant.id) else {
                    issues.append(taken(client, of: tenant.id, by: owner))
                    continue
                }
                if subjects.contains(owner) { issues.append(taken(client, of: owner, by: tenant.id)) }
            }
        }
        return issues
    }

    private static func taken(_ client: TenantClient, of tenant: TenantID, by owner: TenantID?) -> ManifestIssue {
        ManifestIssue(
            tenant: tenant.rawValue, pointer: "/clients/\(client.id)/id",
            message: "the region's client \"\(client.id)\" belongs to "
                + (owner.map { "tenant \($0)" } ?? "the region itself"))
    }
}
