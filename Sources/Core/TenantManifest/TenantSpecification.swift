package import CloudModel

/// What a tenant is. A partner owns applications and has no FHIR base.
package enum TenantKind: String, Sendable, Hashable, CaseIterable {
    case bureau, hospital, clinic, pharmacy, partner
}

/// What happens when the running world no longer is what was asked for.
package enum DriftPolicy: String, Sendable, Hashable, CaseIterable {
    /// `medcloud diff` shows it.
    case report
    /// The controller puts it right.
    case `repair`
}

/// Everything that was asked for of one tenant, with every default filled in: what a manifest says, what the region has on
/// record, and what two of which are compared.
///
/// Lists have no order of their own: they are kept sorted by name, so that equal demands are equal values.
package struct TenantSpecification: Sendable, Hashable {
    package var id: TenantID
    package var kind: TenantKind
    /// 1 to 200 characters.
    package var name: String
    /// IANA name.
    package var timeZone: String
    /// BCP 47 tag.
    package var language: String
    package var labels: [String: String]
    package var driftPolicy: DriftPolicy
    package var quota: TenantQuota
    package private(set) var clients: [TenantClient]
    package private(set) var networks: [TenantNetwork]
    package private(set) var instances: [TenantInstance]

    package init(
        id: TenantID, kind: TenantKind, name: String, timeZone: String, language: String,
        labels: [String: String] = [:], driftPolicy: DriftPolicy = .report, quota: TenantQuota = TenantQuota(),
        clients: [TenantClient] = [], networks: [TenantNetwork] = [], instances: [TenantInstance] = []
    ) {
        self.id = id
        self.kind = kind
        self.name = name
        self.timeZone = timeZone
        self.language = language
        self.labels = labels
        self.driftPolicy = driftPolicy
        self.quota = quota
        self.clients = clients.sorted { ($0.id, $0.realm.rawValue) < ($1.id, $1.realm.rawValue) }
        self.networks = networks.sorted { $0.name < $1.name }
        self.instances = instances.sorted { $0.name < $1.name }
    }

    /// The same tenant without networks and instances: for a region that has no hypervisor.
    package var withoutCompute: TenantSpecification {
        var copy = self
        copy.networks = []
        copy.instances = []
        return copy
    }
}

/// What a tenant may use at most. Zero is nothing.
package struct TenantQuota: Sendable, Hashable {
    /// One limit: its name in manifests, and whether it counts bytes.
    package struct Dimension: Sendable, Hashable {
        package let name: String
        package let isBytes: Bool
        /// The limits that make sense.
        package let range: ClosedRange<Int64>

        private init(_ name: String, isBytes: Bool = false, maximum: Int64) {
            self.name = name
            self.isBytes = isBytes
            range = 0...maximum
        }

        /// Instances that exist, running or not.
        package static let instances = Dimension("instances", maximum: 10_000)
        /// Instances that run.
        package static let running = Dimension("running", maximum: 10_000)
        /// Virtual processors of existing instances.
        package static let vcpus = Dimension("vcpus", maximum: 100_000)
        /// Memory of existing instances.
        package static let memory = Dimension("memory", isBytes: true, maximum: 1 << 50)
        /// Disks of existing instances.
        package static let storage = Dimension("storage", isBytes: true, maximum: 1 << 55)
        package static let networks = Dimension("networks", maximum: 10_000)

        package static let all = [instances, running, vcpus, memory, storage, networks]
    }

    private var limits: [String: Int64] = [:]

    package init() {}

    package subscript(_ dimension: Dimension) -> Int64 {
        get { limits[dimension.name] ?? 0 }
        set { limits[dimension.name] = newValue == 0 ? nil : newValue }
    }

    /// What the instances and networks of a tenant use.
    package static func use(of instances: [TenantInstance], _ networks: [TenantNetwork]) -> TenantQuota {
        var use = TenantQuota()
        use[.instances] = Int64(instances.count)
        use[.running] = Int64(instances.count { $0.isRunning })
        use[.vcpus] = instances.reduce(0) { $0 + Int64($1.virtualCPUs) }
        use[.memory] = instances.reduce(0) { $0 + $1.memory }
        use[.storage] = instances.reduce(0) { $0 + $1.disk }
        use[.networks] = Int64(networks.count)
        return use
    }
}

/// An OAuth client of a tenant.
package struct TenantClient: Sendable, Hashable {
    package enum Realm: String, Sendable, Hashable, CaseIterable {
        /// Tokens from the tenant's own authorization server.
        case tenant
        /// Tokens from the region's, on behalf of the tenant.
        case region
    }

    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case system
        case tenantAdministrator = "tenant-administrator"
    }

    package enum Keys: Sendable, Hashable {
        /// Whoever applies the manifest makes a key pair when the client is made, and keeps the private half. What is
        /// registered later on is as good.
        case generate
        /// The public keys, as JSON.
        case registered(String)
    }

    package var id: String
    package var name: String
    package var realm: Realm
    package var kind: Kind
    /// SMART v2 scopes, separated by spaces.
    package var scopes: String
    /// Sorted.
    package var origins: [String]
    package var keys: Keys
    /// The only `jku` that its assertions may name. Never fetched.
    package var keySetURL: String?
    /// A disabled client gets no tokens.
    package var isDisabled: Bool

    package init(
        id: String, name: String, realm: Realm = .tenant, kind: Kind = .system, scopes: String,
        origins: [String] = [], keys: Keys = .generate, keySetURL: String? = nil, isDisabled: Bool = false
    ) {
        self.id = id
        self.name = name
        self.realm = realm
        self.kind = kind
        self.scopes = scopes
        self.origins = origins.sorted()
        self.keys = keys
        self.keySetURL = keySetURL
        self.isDisabled = isDisabled
    }
}

/// A tenant's private IPv4 network.
package struct TenantNetwork: Sendable, Hashable {
    package var name: String
    package var block: AddressBlock

    package init(name: String, block: AddressBlock) {
        self.name = name
        self.block = block
    }
}

/// A tenant's virtual machine.
package struct TenantInstance: Sendable, Hashable {
    /// What tells that it serves.
    package enum Probe: Sendable, Hashable {
        case tcp(port: Int)
        case http(port: Int, path: String)
    }

    package var name: String
    package var image: String
    package var virtualCPUs: Int
    /// In bytes, a multiple of 1 MiB.
    package var memory: Int64
    /// In bytes, a multiple of 1 MiB.
    package var disk: Int64
    package var network: String
    /// OpenSSH public keys, one line each, in the manifest's order.
    package var sshKeys: [String]
    package var isRunning: Bool
    package var probe: Probe
    /// Seconds from the start within which the probe must have answered.
    package var probeDeadline: Int

    package init(
        name: String, image: String, virtualCPUs: Int, memory: Int64, disk: Int64, network: String,
        sshKeys: [String] = [], isRunning: Bool = true, probe: Probe = .tcp(port: 22), probeDeadline: Int = 120
    ) {
        self.name = name
        self.image = image
        self.virtualCPUs = virtualCPUs
        self.memory = memory
        self.disk = disk
        self.network = network
        self.sshKeys = sshKeys
        self.isRunning = isRunning
        self.probe = probe
        self.probeDeadline = probeDeadline
    }
}
