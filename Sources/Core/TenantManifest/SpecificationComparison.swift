import CloudModel
import StrictJSON

/// Collects what differs, tenant by tenant.
struct SpecificationComparison {
    private(set) var changes: [SpecificationChange] = []
    private(set) var issues: [ManifestIssue] = []
    /// By when they can be done: whole tenants and their own members, ends of things, beginnings of things, ends of tenants.
    private var early: [PlanStep] = []
    private var ends: [PlanStep] = []
    private var beginnings: [PlanStep] = []
    private var late: [PlanStep] = []

    var orderedSteps: [PlanStep] { early + ends + beginnings + late }

    mutating func compare(_ old: TenantSpecification?, _ new: TenantSpecification) {
        guard let old else {
            add(new, "", .create, nil, Self.json { new.writeHead(to: &$0) })
            early.append(.createTenant(new))
            if new.quota != TenantQuota() {
                add(new, "/quota", .create, nil, Self.json { new.quota.write(to: &$0) })
                early.append(.setQuota(new.id, new.quota))
            }
            for client in new.clients { create(client, in: new) }
            for network in new.networks { create(network, in: new) }
            for instance in new.instances { create(instance, in: new) }
            return
        }
        compareHeads(old, new)
        compareQuotas(old, new)
        compareClients(old, new)
        compareNetworks(old, new)
        compareInstances(old, new)
    }

    /// A tenant goes with its clients and its records; what it has on hypervisors goes before.
    mutating func remove(_ old: TenantSpecification) {
        for instance in old.instances { remove(instance, of: old) }
        for network in old.networks { remove(network, of: old) }
        add(old, "", .delete, Self.json { old.writeHead(to: &$0) }, nil)
        late.append(.deleteTenant(old.id))
    }

    // MARK: The tenant itself

    private mutating func compareHeads(_ old: TenantSpecification, _ new: TenantSpecification) {
        let count = changes.count
        if old.kind != new.kind {
            guard old.kind != .partner, new.kind != .partner else {
                issue(
                    new, "/kind",
                    "a \(old.kind.rawValue) cannot become a \(new.kind.rawValue): a partner has no records, the others do"
                )
                return
            }
            add(new, "/kind", .live, Self.text(old.kind.rawValue), Self.text(new.kind.rawValue))
        }
        if old.name != new.name { add(new, "/name", .live, Self.text(old.name), Self.text(new.name)) }
        if old.timeZone != new.timeZone {
            add(new, "/timeZone", .live, Self.text(old.timeZone), Self.text(new.timeZone))
        }
        if old.language != new.language {
            add(new, "/language", .live, Self.text(old.language), Self.text(new.language))
        }
        for key in Set(old.labels.keys).union(new.labels.keys).sorted() where old.labels[key] != new.labels[key] {
            add(
                new, "/labels/\(key)", .none, old.labels[key].map(Self.text), new.labels[key].map(Self.text))
        }
        if old.driftPolicy != new.driftPolicy {
            add(new, "/driftPolicy", .live, Self.text(old.driftPolicy.rawValue), Self.text(new.driftPolicy.rawValue))
        }
        if changes.count > count { early.append(.updateTenant(new)) }
    }

    private mutating func compareQuotas(_ old: TenantSpecification, _ new: TenantSpecification) {
        guard old.quota != new.quota else { return }
        for dimension in TenantQuota.Dimension.all where old.quota[dimension] != new.quota[dimension] {
            add(
                new, "/quota/\(dimension.name)", .live, String(old.quota[dimension]), String(new.quota[dimension]))
        }
        early.append(.setQuota(new.id, new.quota))
    }

    // MARK: Clients

    private mutating func create(_ client: TenantClient, in tenant: TenantSpecification) {
        add(tenant, "/clients/\(client.id)", .create, nil, Self.json { client.write(to: &$0) })
        beginnings.append(.createClient(tenant.id, client))
    }

    /// A client that is disabled and not asked for is gone already: its name stays taken for the sake of the audit log.
    private mutating func compareClients(_ old: TenantSpecification, _ new: TenantSpecification) {
        func isSame(_ one: TenantClient) -> (TenantClient) -> Bool {
            { $0.id == one.id && $0.realm == one.realm }
        }
        for client in old.clients where !client.isDisabled && !new.clients.contains(where: isSame(client)) {
            add(new, "/clients/\(client.id)", .delete, Self.json { client.write(to: &$0) }, nil)
            ends.append(.disableClient(new.id, client))
        }
        for client in new.clients {
            if let was = old.clients.first(where: isSame(client)) {
                compare(was, client, in: new)
            } else {
                create(client, in: new)
            }
        }
    }

    private mutating func compare(_ old: TenantClient, _ new: TenantClient, in tenant: TenantSpecification) {
        let path = "/clients/\(new.id)"
        let count = changes.count
        var wanted = new
        if new.keys == .generate { wanted.keys = old.keys }
        if old.isDisabled != new.isDisabled {
            add(tenant, path + "/disabled", .live, String(old.isDisabled), String(new.isDisabled))
        }
        if old.keys != wanted.keys || old.keySetURL != wanted.keySetURL {
            add(
                tenant, path + "/keys", .live, Self.json { old.writeKeys(to: &$0) },
                Self.json { wanted.writeKeys(to: &$0) })
        }
        if old.kind != new.kind {
            add(tenant, path + "/kind", .live, Self.text(old.kind.rawValue), Self.text(new.kind.rawValue))
        }
        if old.name != new.name { add(tenant, path + "/name", .none, Self.text(old.name), Self.text(new.name)) }
        if old.origins != new.origins {
            add(tenant, path + "/origins", .live, Self.texts(old.origins), Self.texts(new.origins))
        }
        if old.scopes != new.scopes {
            add(tenant, path + "/scopes", .live, Self.text(old.scopes), Self.text(new.scopes))
        }
        if changes.count > count { beginnings.append(.updateClient(tenant.id, wanted)) }
    }

    // MARK: Networks

    private mutating func create(_ network: TenantNetwork, in tenant: TenantSpecification) {
        add(tenant, "/networks/\(network.name)", .create, nil, Self.json { network.write(to: &$0) })
        beginnings.append(.createNetwork(tenant.id, network))
    }

    private mutating func remove(_ network: TenantNetwork, of tenant: TenantSpecification) {
        add(tenant, "/networks/\(network.name)", .delete, Self.json { network.write(to: &$0) }, nil)
        ends.append(.deleteNetwork(tenant.id, network.name))
    }

    private mutating func compareNetworks(_ old: TenantSpecification, _ new: TenantSpecification) {
        for network in new.networks {
            guard let was = old.networks.first(where: { $0.name == network.name }) else {
                create(network, in: new)
                continue
            }
            guard was != network else { continue }
            // Addresses of instances are never taken from under them.
            if let user = (old.instances + new.instances).first(where: { $0.network == network.name }) {
                issue(
                    new, "/networks/\(network.name)/cidr",
                    "the network keeps its addresses \(was.block) while the instance \(user.name) is in it: make another "
                        + "network beside it")
                continue
            }
            add(
                new, "/networks/\(network.name)/cidr", .replace, Self.text(was.block.description),
                Self.text(network.block.description))
            ends.append(.deleteNetwork(new.id, network.name))
            beginnings.append(.createNetwork(new.id, network))
        }
    }

    // MARK: Instances

    private mutating func create(_ instance: TenantInstance, in tenant: TenantSpecification) {
        add(tenant, "/instances/\(instance.name)", .create, nil, Self.json { instance.write(to: &$0) })
        beginnings.append(.createInstance(tenant.id, instance))
    }

    private mutating func remove(_ instance: TenantInstance, of tenant: TenantSpecification) {
        add(tenant, "/instances/\(instance.name)", .delete, Self.json { instance.write(to: &$0) }, nil)
        ends.append(.deleteInstance(tenant.id, instance.name))
    }

    /// Instances that are not asked for go before the networks they were in.
    private mutating func compareInstances(_ old: TenantSpecification, _ new: TenantSpecification) {
        for instance in old.instances where !new.instances.contains(where: { $0.name == instance.name }) {
            remove(instance, of: new)
        }
        for network in old.networks where !new.networks.contains(where: { $0.name == network.name }) {
            remove(network, of: new)
        }
        for instance in new.instances {
            if let was = old.instances.first(where: { $0.name == instance.name }) {
                compare(was, instance, in: new)
            } else {
                create(instance, in: new)
            }
        }
    }

    private mutating func compare(_ old: TenantInstance, _ new: TenantInstance, in tenant: TenantSpecification) {
        let path = "/instances/\(new.name)"
        let count = changes.count
        guard old.network == new.network else {
            issue(
                tenant, path + "/network",
                "an instance stays in its network \(old.network): make another instance beside it")
            return
        }
        guard old.image == new.image else {
            // A disk is an overlay of one image: another image is another disk.
            add(tenant, path + "/image", .replace, Self.text(old.image), Self.text(new.image))
            ends.append(.deleteInstance(tenant.id, old.name))
            beginnings.append(.createInstance(tenant.id, new))
            return
        }
        if old.virtualCPUs != new.virtualCPUs {
            add(tenant, path + "/vcpus", .restart, String(old.virtualCPUs), String(new.virtualCPUs))
        }
        if old.memory != new.memory { add(tenant, path + "/memory", .restart, String(old.memory), String(new.memory)) }
        if old.disk != new.disk {
            guard old.disk < new.disk else {
                issue(
                    tenant, path + "/disk",
                    "a disk does not shrink: it has \(ByteSize.text(old.disk)), and \(ByteSize.text(new.disk)) is less")
                return
            }
            add(tenant, path + "/disk", .restart, String(old.disk), String(new.disk))
        }
        if old.sshKeys != new.sshKeys {
            add(tenant, path + "/sshKeys", .restart, Self.texts(old.sshKeys), Self.texts(new.sshKeys))
        }
        if old.isRunning != new.isRunning {
            add(tenant, path + "/running", .live, String(old.isRunning), String(new.isRunning))
        }
        if old.probe != new.probe {
            add(
                tenant, path + "/probe", .live, Self.json { old.probe.write(to: &$0) },
                Self.json { new.probe.write(to: &$0) })
        }
        if old.probeDeadline != new.probeDeadline {
            add(tenant, path + "/probeDeadline", .live, String(old.probeDeadline), String(new.probeDeadline))
        }
        if changes.count > count { beginnings.append(.updateInstance(tenant.id, new)) }
    }

    // MARK: Parts

    private mutating func add(
        _ tenant: TenantSpecification, _ path: String, _ effect: SpecificationChange.Effect, _ before: String?,
        _ after: String?
    ) {
        changes.append(
            SpecificationChange(tenant: tenant.id, path: path, effect: effect, before: before, after: after))
    }

    private mutating func issue(_ tenant: TenantSpecification, _ pointer: String, _ message: String) {
        issues.append(ManifestIssue(tenant: tenant.id.rawValue, pointer: pointer, message: message))
    }

    private static func json(_ write: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter()
        write(&writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private static func text(_ value: String) -> String { json { $0.string(value) } }

    private static func texts(_ values: [String]) -> String {
        json { $0.array { list in for value in values { list.string(value) } } }
    }
}
