import CloudModel
import TenantManifest

/// A generator with a seed: the same specifications at every run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Random tenants that follow every rule: number `n` has networks below 10.n.
enum SampleSpecifications {
    static let publicKeys = [
        #"{"keys":[{"kty":"EC","crv":"P-384","x":"AQ","y":"Ag","kid":"one","alg":"ES384","use":"sig"}]}"#,
        #"{"keys":[{"kty":"EC","crv":"P-384","x":"Aw","y":"BA","kid":"two","alg":"ES384","use":"sig"}]}"#,
    ]
    static let sshKey =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g operator@desk"

    static func id(_ text: String) -> TenantID {
        guard let id = TenantID(text) else { preconditionFailure("\(text) is no tenant's name") }
        return id
    }

    static func block(_ text: String) -> AddressBlock {
        do {
            return try AddressBlock(text)
        } catch {
            preconditionFailure("\(text) is no block: \(error.sentence)")
        }
    }

    static func tenant(_ number: Int, using generator: inout SeededGenerator) -> TenantSpecification {
        var quota = TenantQuota()
        let networks = (0..<Int.random(in: 0...3, using: &generator)).map { index in
            TenantNetwork(name: "net-\(index)", block: block("10.\(number % 256).\(index * 16).0/24"))
        }
        let instances =
            networks.isEmpty
            ? []
            : (0..<Int.random(in: 0...3, using: &generator)).map { index in
                TenantInstance(
                    name: "vm-\(index)", image: "probe",
                    virtualCPUs: Int.random(in: 1...4, using: &generator),
                    memory: Int64.random(in: 64...512, using: &generator) << 20,
                    disk: Int64.random(in: 1...64, using: &generator) << 20,
                    network: networks[index % networks.count].name,
                    sshKeys: Bool.random(using: &generator) ? [sshKey] : [],
                    isRunning: Bool.random(using: &generator),
                    probe: Bool.random(using: &generator) ? .tcp(port: 22) : .http(port: 80, path: "/health"),
                    probeDeadline: Int.random(in: 10...60, using: &generator))
            }
        let use = TenantQuota.use(of: instances, networks)
        for dimension in TenantQuota.Dimension.all {
            quota[dimension] = use[dimension] + Int64.random(in: 0...3, using: &generator)
        }
        let clients = (0..<Int.random(in: 0...3, using: &generator)).map { index in
            TenantClient(
                id: "t\(number)-client-\(index)", name: "Client \(Int.random(in: 0...1, using: &generator))",
                realm: Int.random(in: 0...4, using: &generator) == 0 ? .region : .tenant,
                scopes: Bool.random(using: &generator) ? "system/*.cruds" : "system/Patient.rs",
                origins: Bool.random(using: &generator) ? ["https://portal.example"] : [],
                keys: Bool.random(using: &generator) ? .generate : .registered(publicKeys[index % 2]),
                isDisabled: Int.random(in: 0...9, using: &generator) == 0)
        }
        return TenantSpecification(
            id: id("t\(number)"), kind: [.hospital, .clinic, .pharmacy][Int.random(in: 0...2, using: &generator)],
            name: "Tenant \(Int.random(in: 0...3, using: &generator))",
            timeZone: Bool.random(using: &generator) ? "Europe/Berlin" : "UTC",
            language: Bool.random(using: &generator) ? "de" : "zh-Hans",
            labels: Bool.random(using: &generator) ? ["area": "north", "tier": "2"] : [:],
            driftPolicy: Bool.random(using: &generator) ? .report : .repair, quota: quota, clients: clients,
            networks: networks, instances: instances)
    }
}

/// A region that does as it is told, as the control database does: one step at a time, refusing what it does not know.
struct ModelRegion {
    private(set) var tenants: [TenantID: TenantSpecification] = [:]

    struct Refusal: Error {
        let step: PlanStep
    }

    var specifications: [TenantSpecification] { Array(tenants.values) }

    mutating func carryOut(_ steps: [PlanStep]) throws {
        for step in steps { try carryOut(step) }
    }

    private mutating func carryOut(_ step: PlanStep) throws {
        switch step {
        case .createTenant(let new):
            guard tenants[new.id] == nil else { throw Refusal(step: step) }
            tenants[new.id] = Self.head(of: new)
        case .updateTenant(let new):
            try change(new.id, step) { old in
                Self.head(
                    of: new, quota: old.quota, clients: old.clients, networks: old.networks, instances: old.instances)
            }
        case .setQuota(let tenant, let quota):
            try change(tenant, step) { old in
                var new = old
                new.quota = quota
                return new
            }
        case .createClient(let tenant, let client):
            try change(tenant, step) { old in
                guard !old.clients.contains(where: { Self.isSame($0, client) }) else { throw Refusal(step: step) }
                return Self.with(old, clients: old.clients + [Self.registered(client)])
            }
        case .updateClient(let tenant, let client):
            try change(tenant, step) { old in
                guard old.clients.contains(where: { Self.isSame($0, client) }) else { throw Refusal(step: step) }
                return Self.with(
                    old, clients: old.clients.filter { !Self.isSame($0, client) } + [Self.registered(client)])
            }
        case .disableClient(let tenant, let client):
            try change(tenant, step) { old in
                guard var known = old.clients.first(where: { Self.isSame($0, client) }) else {
                    throw Refusal(step: step)
                }
                known.isDisabled = true
                return Self.with(old, clients: old.clients.filter { !Self.isSame($0, client) } + [known])
            }
        case .createNetwork(let tenant, let network):
            try change(tenant, step) { old in
                guard !old.networks.contains(where: { $0.name == network.name }) else { throw Refusal(step: step) }
                return Self.with(old, networks: old.networks + [network])
            }
        case .deleteNetwork(let tenant, let name):
            try change(tenant, step) { old in
                guard old.networks.contains(where: { $0.name == name }),
                    !old.instances.contains(where: { $0.network == name })
                else { throw Refusal(step: step) }
                return Self.with(old, networks: old.networks.filter { $0.name != name })
            }
        case .createInstance(let tenant, let instance):
            try change(tenant, step) { old in
                guard !old.instances.contains(where: { $0.name == instance.name }),
                    old.networks.contains(where: { $0.name == instance.network })
                else { throw Refusal(step: step) }
                return Self.with(old, instances: old.instances + [instance])
            }
        case .updateInstance(let tenant, let instance):
            try change(tenant, step) { old in
                guard old.instances.contains(where: { $0.name == instance.name }) else { throw Refusal(step: step) }
                return Self.with(old, instances: old.instances.filter { $0.name != instance.name } + [instance])
            }
        case .deleteInstance(let tenant, let name):
            try change(tenant, step) { old in
                guard old.instances.contains(where: { $0.name == name }) else { throw Refusal(step: step) }
                return Self.with(old, instances: old.instances.filter { $0.name != name })
            }
        case .deleteTenant(let tenant):
            guard let old = tenants[tenant], old.networks.isEmpty, old.instances.isEmpty else {
                throw Refusal(step: step)
            }
            tenants[tenant] = nil
        }
    }

    private mutating func change(
        _ tenant: TenantID, _ step: PlanStep, _ body: (TenantSpecification) throws -> TenantSpecification
    ) throws {
        guard let old = tenants[tenant] else { throw Refusal(step: step) }
        tenants[tenant] = try body(old)
    }

    private static func isSame(_ one: TenantClient, _ other: TenantClient) -> Bool {
        one.id == other.id && one.realm == other.realm
    }

    /// What is registered for a client that asks for a key pair of its own.
    private static func registered(_ client: TenantClient) -> TenantClient {
        var client = client
        if client.keys == .generate { client.keys = .registered(SampleSpecifications.publicKeys[0]) }
        return client
    }

    private static func head(
        of new: TenantSpecification, quota: TenantQuota = TenantQuota(), clients: [TenantClient] = [],
        networks: [TenantNetwork] = [], instances: [TenantInstance] = []
    ) -> TenantSpecification {
        TenantSpecification(
            id: new.id, kind: new.kind, name: new.name, timeZone: new.timeZone, language: new.language,
            labels: new.labels, driftPolicy: new.driftPolicy, quota: quota, clients: clients, networks: networks,
            instances: instances)
    }

    private static func with(
        _ old: TenantSpecification, clients: [TenantClient]? = nil, networks: [TenantNetwork]? = nil,
        instances: [TenantInstance]? = nil
    ) -> TenantSpecification {
        head(
            of: old, quota: old.quota, clients: clients ?? old.clients, networks: networks ?? old.networks,
            instances: instances ?? old.instances)
    }
}
