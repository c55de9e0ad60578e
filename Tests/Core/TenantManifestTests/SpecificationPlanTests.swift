import CloudModel
import StrictJSON
import TenantManifest
import Testing

struct SpecificationPlanTests {
    private func tenant(
        quota: TenantQuota = TenantQuota(), clients: [TenantClient] = [], networks: [TenantNetwork] = [],
        instances: [TenantInstance] = []
    ) -> TenantSpecification {
        TenantSpecification(
            id: SampleSpecifications.id("h1"), kind: .hospital, name: "Hospital One", timeZone: "Europe/Berlin",
            language: "de", quota: quota, clients: clients, networks: networks, instances: instances)
    }

    private var wide: TenantQuota {
        var quota = TenantQuota()
        for dimension in TenantQuota.Dimension.all { quota[dimension] = dimension.isBytes ? 1 << 40 : 100 }
        return quota
    }

    private let lan = TenantNetwork(name: "lan", block: SampleSpecifications.block("10.40.1.0/24"))
    private let machine = TenantInstance(
        name: "vm", image: "probe", virtualCPUs: 1, memory: 96 << 20, disk: 64 << 20, network: "lan")

    @Test func `carrying out a plan leaves nothing to plan, for 300 random specifications`() throws {
        var generator = SeededGenerator(seed: 4)
        var region = ModelRegion()
        for round in 0..<60 {
            // Five tenants at a time, some of which are there from earlier rounds.
            let wanted = Set((0..<5).map { _ in Int.random(in: 0..<40, using: &generator) }).sorted()
            let desired = wanted.map { SampleSpecifications.tenant($0, using: &generator) }
            let prune = round % 7 == 6
            let plan: SpecificationPlan
            do {
                plan = try SpecificationPlan(from: region.specifications, to: desired, prune: prune)
            } catch {
                // A disk that would shrink, a client that would move: refused whole, nothing is done.
                #expect(!error.issues.isEmpty)
                continue
            }
            try region.carryOut(plan.steps)
            let again = try SpecificationPlan(from: region.specifications, to: desired.reversed(), prune: prune)
            #expect(again.changes == [])
            #expect(again.steps == [])
        }
        #expect(region.specifications.count > 5)
    }

    @Test func `every specification is planned from nothing and is then what was asked for`() throws {
        var generator = SeededGenerator(seed: 300)
        for number in 0..<300 {
            let desired = SampleSpecifications.tenant(number, using: &generator)
            var region = ModelRegion()
            try region.carryOut(try SpecificationPlan(from: [], to: [desired]).steps)
            let plan = try SpecificationPlan(from: region.specifications, to: [desired])
            #expect(plan.isEmpty)
            #expect(plan.steps == [])
        }
    }

    @Test func `the order of the input makes no difference`() throws {
        var generator = SeededGenerator(seed: 7)
        let current = (0..<20).map { SampleSpecifications.tenant($0, using: &generator) }
        var desired = (10..<30).map { SampleSpecifications.tenant($0, using: &generator) }
        // What a plan refuses is not this test's business: disks only grow here.
        desired = desired.map { new in
            guard current.contains(where: { $0.id == new.id }) else { return new }
            return TenantSpecification(
                id: new.id, kind: new.kind, name: new.name, timeZone: new.timeZone, language: new.language,
                labels: new.labels, driftPolicy: new.driftPolicy)
        }
        let plan = try SpecificationPlan(from: current, to: desired, prune: true)
        for _ in 0..<5 {
            let again = try SpecificationPlan(
                from: current.shuffled(using: &generator), to: desired.shuffled(using: &generator), prune: true)
            #expect(again == plan)
            #expect(again.hash == plan.hash)
        }
        #expect(plan.hash.utf8.count == 64)
    }

    @Test func `the hash tells any change of a plan`() throws {
        var other = tenant()
        other.name = "Hospital 1"
        let hashes = [
            try SpecificationPlan(from: [], to: [tenant()]).hash, try SpecificationPlan(from: [], to: [other]).hash,
            try SpecificationPlan(from: [tenant()], to: [other]).hash,
            try SpecificationPlan(from: [other], to: [tenant()]).hash,
            try SpecificationPlan(from: [tenant()], to: []).hash,
        ]
        #expect(Set(hashes).count == hashes.count)
    }

    @Test func `tenants that nobody names stay unless they are pruned`() throws {
        #expect(try SpecificationPlan(from: [tenant()], to: []).isEmpty)
        let plan = try SpecificationPlan(from: [tenant()], to: [], prune: true)
        #expect(plan.changes.map(\.effect) == [.delete])
        #expect(plan.steps == [.deleteTenant(SampleSpecifications.id("h1"))])
        #expect(plan.neededPermissions == [.delete])
    }

    @Test func `what a tenant has on hypervisors goes before the tenant`() throws {
        let full = tenant(quota: wide, networks: [lan], instances: [machine])
        let id = full.id
        let plan = try SpecificationPlan(from: [full], to: [], prune: true)
        #expect(plan.steps == [.deleteInstance(id, "vm"), .deleteNetwork(id, "lan"), .deleteTenant(id)])
    }

    @Test func `a generated key is satisfied by whatever is registered`() throws {
        let asked = tenant(clients: [TenantClient(id: "h1-system", name: "System", scopes: "system/*.cruds")])
        let registered = tenant(clients: [
            TenantClient(
                id: "h1-system", name: "System", scopes: "system/*.cruds",
                keys: .registered(SampleSpecifications.publicKeys[0]))
        ])
        #expect(try SpecificationPlan(from: [registered], to: [asked]).isEmpty)
        #expect(try SpecificationPlan(from: [tenant()], to: [asked]).generatedKeys.map(\.client.id) == ["h1-system"])
    }

    @Test func `a client that is not asked for is disabled once`() throws {
        var client = TenantClient(
            id: "old", name: "Old", scopes: "system/*.rs", keys: .registered(SampleSpecifications.publicKeys[0]))
        let plan = try SpecificationPlan(from: [tenant(clients: [client])], to: [tenant()])
        #expect(plan.changes.map(\.effect) == [.delete])
        client.isDisabled = true
        #expect(try SpecificationPlan(from: [tenant(clients: [client])], to: [tenant()]).isEmpty)
    }

    @Test func `effects say what happens to what runs`() throws {
        let old = tenant(quota: wide, networks: [lan], instances: [machine])
        var larger = machine
        larger.memory = 128 << 20
        larger.isRunning = false
        var renamed = tenant(quota: wide, networks: [lan], instances: [larger])
        renamed.name = "Another"
        renamed.labels = ["area": "north"]
        let plan = try SpecificationPlan(from: [old], to: [renamed])
        #expect(
            plan.changes.map { "\($0.path) \($0.effect.rawValue)" } == [
                "/instances/vm/memory restart", "/instances/vm/running live", "/labels/area none", "/name live",
            ])
        var other = machine
        other.image = "debian-12"
        let replacing = try SpecificationPlan(
            from: [old], to: [tenant(quota: wide, networks: [lan], instances: [other])])
        #expect(replacing.changes.map(\.effect) == [.replace])
        #expect(replacing.neededPermissions == [.replace])
    }

    @Test func `what cannot be done is refused with its place`() throws {
        let old = tenant(quota: wide, networks: [lan], instances: [machine])
        var smaller = machine
        smaller.disk = 32 << 20
        #expect(place { try SpecificationPlan(from: [old], to: [self.with(smaller)]) } == ["/instances/vm/disk"])
        let moved = TenantNetwork(name: "lan", block: SampleSpecifications.block("10.40.2.0/24"))
        #expect(
            place {
                try SpecificationPlan(
                    from: [old], to: [self.tenant(quota: self.wide, networks: [moved], instances: [self.machine])])
            } == ["/networks/lan/cidr"])
        #expect(
            place { try SpecificationPlan(from: [], to: [self.tenant(networks: [self.lan])]) } == ["/quota/networks"])
    }

    @Test func `networks of two tenants may not overlap, asked for or on record`() throws {
        func other(_ block: String) -> TenantSpecification {
            var quota = TenantQuota()
            quota[.networks] = 1
            return TenantSpecification(
                id: SampleSpecifications.id("h2"), kind: .hospital, name: "Two", timeZone: "UTC", language: "en",
                quota: quota,
                networks: [TenantNetwork(name: "lan", block: SampleSpecifications.block(block))])
        }
        let own = tenant(quota: wide, networks: [lan])
        #expect(try SpecificationPlan(from: [other("10.40.2.0/24")], to: [own]).changes.count > 0)
        #expect(place { try SpecificationPlan(from: [other("10.40.0.0/16")], to: [own]) } == ["/networks/lan/cidr"])
        #expect(place { try SpecificationPlan(from: [], to: [own, other("10.40.1.128/25")]) }.count == 1)
        // When the other one goes in the same plan there is nothing to overlap.
        #expect(try SpecificationPlan(from: [other("10.40.0.0/16")], to: [own], prune: true).changes.count > 0)
    }

    private func with(_ instance: TenantInstance) -> TenantSpecification {
        tenant(quota: wide, networks: [lan], instances: [instance])
    }

    private func place(_ plan: () throws -> SpecificationPlan) -> [String] {
        do {
            _ = try plan()
            return []
        } catch {
            return (error as? ManifestError)?.issues.map(\.pointer) ?? ["\(error)"]
        }
    }
}
