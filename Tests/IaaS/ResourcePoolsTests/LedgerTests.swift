import CloudModel
import Foundation
import PostgresDriver
import ResourcePools
import Testing

struct LedgerTests {
    @Test func `64 creations at once get what there is room for, and the others are told what is left`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            let outcomes = await withTaskGroup(of: Result<String, ResourcePoolError>.self) { group in
                for index in 0..<64 {
                    group.addTask {
                        do throws(ResourcePoolError) {
                            return .success(try await fixture.ask(.create(PoolFixture.instance("m\(index)"))))
                        } catch {
                            return .failure(error)
                        }
                    }
                }
                var outcomes: [Result<String, ResourcePoolError>] = []
                for await outcome in group { outcomes.append(outcome) }
                return outcomes
            }
            let refusals = outcomes.compactMap { outcome -> QuotaRefusal? in
                if case .failure(let error) = outcome, case .quotaExceeded(let refusal) = error.reason {
                    return refusal
                }
                return nil
            }
            #expect(outcomes.count { (try? $0.get()) != nil } == 10)
            #expect(refusals.count == 54)
            #expect(
                Set(refusals)
                    == [QuotaRefusal(dimension: "instances", limit: 10, used: 10, requested: 1, remaining: 0)])
            #expect(try await fixture.differences() == [])
            #expect(try await fixture.used()["instances"] == 10)
            let addresses = try await fixture.gateway.instances(of: PoolFixture.tenant, acting: nil).map(\.address)
            #expect(Set(addresses) == Set((2...11).map { "10.40.1.\($0)" }))
        }
    }

    /// As the end of an operation and every other request do.
    @Test func `a change locks the pool before the instance`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            try await fixture.end(try await fixture.ask(.create(PoolFixture.instance("one"))))
            let change = try await fixture.pool.withTransaction { connection in
                try await connection.query(
                    PostgresStatement("select control.lock_pool($1)"), [.text(PoolFixture.tenant.rawValue)])
                let change = Task { try await fixture.ask(.update(PoolFixture.instance("one", vcpus: 2))) }
                try await fixture.until("the change waits") {
                    try await connection.query(
                        PostgresStatement(
                            """
                            select exists (
                                select from pg_locks l join pg_database d on d.oid = l.database
                                where l.locktype = 'advisory' and not l.granted and d.datname = current_database())
                            """))[0].bool(0) ? true : nil
                }
                try await connection.query(PostgresStatement("select from control.instance for update nowait"))
                return change
            }
            #expect(try await !change.value.isEmpty)
        }
    }

    @Test(arguments: ["40P01", "40001"]) func `a request that lost to another may be asked again`(_ sqlState: String) {
        #expect(
            ResourcePoolError(PostgresError(.server, "deadlock detected", sqlState: sqlState)).reason == .unavailable)
    }

    /// The ends of the two operations, and who has the addresses then.
    @Test(arguments: [("succeeded", "succeeded", PoolFixture.other), ("failed", "cancelled", PoolFixture.tenant)])
    func `addresses go from one tenant to another, or stay`(going: String, coming: String, owner: TenantID) async throws
    {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork("lan", "10.40.1.0/24")
            let ends = try await fixture.pool.query(
                PostgresStatement("select control.delete_network('test', $1, 'lan', null, null)::text"),
                [.text(PoolFixture.tenant.rawValue)])[0].string(0)
            func make(_ cidr: String) async throws -> String {
                try await fixture.pool.query(
                    PostgresStatement(
                        "select control.create_network('test', $1, $2::jsonb, null, array[$3::uuid])::text"),
                    [
                        .text(PoolFixture.other.rawValue), .text(PoolFixture.network("theirs", cidr)), .text(ends),
                    ])[0].string(0)
            }
            // A part of them would leave the rest to whoever comes.
            await #expect(throws: PostgresError.self) { try await make("10.40.1.0/25") }
            let begins = try await make("10.40.1.0/24")
            await #expect(throws: PostgresError.self) { try await make("10.40.0.0/16") }
            try await fixture.end(ends, going)
            try await fixture.end(begins, coming)
            for tenant in [PoolFixture.tenant, PoolFixture.other] {
                let networks = try await fixture.gateway.networks(of: tenant, acting: nil)
                #expect(networks.map(\.cidr) == (tenant == owner ? ["10.40.1.0/24"] : []))
                #expect(try await fixture.used(of: tenant)["networks"] == (tenant == owner ? 1 : 0))
            }
            await #expect(throws: ResourcePoolError.self) {
                _ = try await fixture.gateway.createNetwork(
                    PoolFixture.network("third", "10.40.1.0/24"), of: PoolFixture.other, acting: nil, actor: "test")
            }
            #expect(try await fixture.differences() == [])
        }
    }

    @Test(arguments: ["failed", "cancelled"])
    func `a creation that does not succeed gives everything back`(_ end: String) async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            let id = try await fixture.ask(.create(PoolFixture.instance("one", vcpus: 4)))
            #expect(try await fixture.used()["vcpus"] == 4)
            try await fixture.end(id, end)
            let used = try await fixture.used()
            #expect(used.filter { $0.value != 0 } == ["networks": 1])
            #expect(try await fixture.instance("one") == nil)
            #expect(try await fixture.differences() == [])
        }
    }

    @Test func `a stopped instance keeps what exists and gives back that it runs`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            try await fixture.end(try await fixture.ask(.create(PoolFixture.instance("one"))))
            let stop = try await fixture.ask(.change(.stop, name: "one"))
            // It still runs until it is off.
            #expect(try await fixture.used()["running"] == 1)
            try await fixture.end(stop)
            let used = try await fixture.used()
            #expect(used["running"] == 0)
            #expect(used["instances"] == 1)
            #expect(used["memory"] == 128 << 20)
            try await fixture.end(try await fixture.ask(.change(.start, name: "one")), "failed")
            #expect(try await fixture.used()["running"] == 0)
            #expect(try await fixture.instance("one")?.state == .stopped)
            #expect(try await fixture.differences() == [])
        }
    }

    @Test func `a change counts for the larger of before and after until it is done`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            try await fixture.end(try await fixture.ask(.create(PoolFixture.instance("one", vcpus: 4))))
            let smaller = try await fixture.ask(.update(PoolFixture.instance("one", vcpus: 2)))
            #expect(try await fixture.used()["vcpus"] == 4)
            try await fixture.end(smaller)
            #expect(try await fixture.used()["vcpus"] == 2)
            let larger = try await fixture.ask(.update(PoolFixture.instance("one", vcpus: 8)))
            #expect(try await fixture.used()["vcpus"] == 8)
            try await fixture.end(larger, "failed")
            #expect(try await fixture.used()["vcpus"] == 2)
            let spec = try #require(try await fixture.instance("one")).specification
            #expect(spec.contains(#""vcpus": 2"#))
            #expect(try await fixture.differences() == [])
        }
    }

    @Test func `a replacement needs no more than what it takes beyond the one that goes`() async throws {
        let quota =
            #"{"instances": 1, "running": 1, "vcpus": 4, "memory": 134217728, "storage": 33554432, "networks": 1}"#
        try await PoolFixture.run(quota: quota) { fixture in
            try await fixture.makeNetwork()
            for end in ["succeeded", "failed"] {
                if try await fixture.instance("one") == nil {
                    try await fixture.end(try await fixture.ask(.create(PoolFixture.instance("one", vcpus: 2))))
                }
                let before = try await fixture.used()
                let operations = try await fixture.pool.withTransaction { connection in
                    try await connection.execute("set local control.acting = 'region'")
                    let deletion = try await connection.query(
                        PostgresStatement("select control.delete_instance('test', 'h1', 'one', null, null)"))[0].string(
                            0)
                    let creation = try await connection.query(
                        PostgresStatement(
                            "select control.create_instance('test', 'h1', $1::jsonb, null, array[$2::uuid])"),
                        [.text(PoolFixture.instance("one", vcpus: 4, disk: 32 << 20)), .uuid(deletion)])[0].string(0)
                    return (deletion, creation)
                }
                #expect(try await fixture.used()["instances"] == 1)
                #expect(try await fixture.used()["vcpus"] == 4)
                #expect(try await fixture.differences() == [])
                try await fixture.end(operations.0, end)
                #expect(try await fixture.differences() == [])
                try await fixture.end(operations.1, end)
                #expect(try await fixture.differences() == [])
                if end == "succeeded" {
                    #expect(try await fixture.used()["storage"] == 32 << 20)
                } else {
                    #expect(try await fixture.used() == before)
                    #expect(try await fixture.instance("one")?.state == .running)
                }
            }
        }
    }

    @Test func `a deletion that never began changes nothing, one that was cut off can only be asked for again`()
        async throws
    {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            try await fixture.end(try await fixture.ask(.create(PoolFixture.instance("one"))))
            for end in ["cancelled", "failed"] {
                try await fixture.end(try await fixture.ask(.change(.delete, name: "one")), end)
                #expect(try await fixture.instance("one")?.state == .running)
                try await fixture.end(try await fixture.ask(.change(.reboot, name: "one")))
            }
            let begun = try await fixture.begunForGood(try await fixture.ask(.change(.delete, name: "one")))
            try await fixture.end(begun, "failed")
            #expect(try await fixture.instance("one")?.state == .failed)
            await #expect(throws: ResourcePoolError.self) { try await fixture.ask(.change(.reboot, name: "one")) }
            // That the second one never began makes it no better.
            try await fixture.end(try await fixture.ask(.change(.delete, name: "one")), "cancelled")
            #expect(try await fixture.instance("one")?.state == .failed)
            try await fixture.end(try await fixture.ask(.change(.delete, name: "one")))
            #expect(try await fixture.differences() == [])
        }
    }

    @Test func `a quota below what is used is refused and says so`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            try await fixture.ask(.create(PoolFixture.instance("one", vcpus: 3)))
            await #expect {
                try await fixture.gateway.setQuota(
                    PoolFixture.quota.replacing("40", with: "2"), of: PoolFixture.tenant, acting: nil, actor: "test")
            } throws: { error in
                guard let error = error as? ResourcePoolError, case .invalidValue("vcpus", let rule) = error.reason
                else {
                    return false
                }
                return rule == "must be at least 3, which is used"
            }
            await #expect(throws: ResourcePoolError.self) {
                try await fixture.gateway.setQuota(
                    PoolFixture.quota, of: PoolFixture.tenant, acting: PoolFixture.tenant, actor: "test")
            }
        }
    }

    @Test func `the ledger is what a recount gives, after whatever was asked and however it ended`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork("lan", "10.40.1.0/28")
            let environment = ProcessInfo.processInfo.environment
            let seed = environment["MEDCLOUD_SEED"].flatMap { UInt64($0) } ?? .random(in: 0 ... .max)
            let steps = environment["MEDCLOUD_TEST_LONG"] == nil ? 1500 : 10_000
            print("ledger: \(steps) steps, repeat with MEDCLOUD_SEED=\(seed)")
            var generator = SplitMix(seed: seed)
            var open: [String] = []
            var accepted = 0
            for _ in 0..<steps {
                let name = "m\(Int.random(in: 0..<8, using: &generator))"
                let specification = PoolFixture.instance(
                    name, vcpus: Int.random(in: 1...12, using: &generator),
                    memory: Int.random(in: 1...24, using: &generator) * (128 << 20),
                    disk: Int.random(in: 1...64, using: &generator) * (16 << 20),
                    more: #""running": \#(Bool.random(using: &generator))"#)
                let requests: [PoolDatabase.Request] = [
                    .create(specification), .create(specification), .update(specification),
                    .change(.start, name: name), .change(.stop, name: name), .change(.reboot, name: name),
                    .change(.delete, name: name),
                ]
                if !open.isEmpty, Int.random(in: 0..<2, using: &generator) == 0 {
                    let phase = ["succeeded", "succeeded", "succeeded", "failed", "cancelled"]
                        .randomElement(using: &generator)!
                    try await fixture.end(
                        open.remove(at: Int.random(in: 0..<open.count, using: &generator)), phase)
                } else {
                    do throws(ResourcePoolError) {
                        let id = try await fixture.ask(requests.randomElement(using: &generator)!)
                        if !id.isEmpty { open.append(id) }
                        accepted += 1
                    } catch {
                        switch error.reason {
                        case .quotaExceeded, .illegalTransition, .notFound, .conflict, .invalidValue: break
                        default: throw error
                        }
                    }
                }
                #expect(try await fixture.differences() == [])
            }
            print("ledger: \(accepted) of \(steps) steps were requests that were accepted")
            #expect(accepted > steps / 8)
            for id in open { try await fixture.end(id) }
            for instance in try await fixture.gateway.instances(of: PoolFixture.tenant, acting: nil) {
                try await fixture.end(try await fixture.ask(.change(.delete, name: instance.name)))
            }
            #expect(try await fixture.used().filter { $0.value != 0 } == ["networks": 1])
        }
    }

    @Test func `address ranges do not overlap in the region, and whose they are is not said`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            func refusal(_ tenant: TenantID, _ cidr: String) async -> String? {
                do throws(ResourcePoolError) {
                    _ = try await fixture.gateway.createNetwork(
                        PoolFixture.network("next", cidr), of: tenant, acting: tenant, actor: "test")
                    return nil
                } catch {
                    return error.message
                }
            }
            #expect(
                await refusal(PoolFixture.other, "10.40.0.0/16")
                    == "the address range is not free in this region; choose another")
            #expect(
                await refusal(PoolFixture.tenant, "10.40.1.128/25")
                    == "the address range overlaps with the network lan")
            #expect(await refusal(PoolFixture.other, "10.40.2.0/24") == nil)
        }
    }

    @Test func `an address is given once, and a full network refuses`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork("tiny", "10.40.3.0/29")
            for index in 0..<5 {
                try await fixture.ask(.create(PoolFixture.instance("m\(index)", network: "tiny")))
            }
            await #expect { try await fixture.ask(.create(PoolFixture.instance("m5", network: "tiny"))) } throws: {
                ($0 as? ResourcePoolError)?.message == "the network has no free address left"
            }
            let all = try await fixture.gateway.instances(of: PoolFixture.tenant, acting: nil)
            #expect(Set(all.map(\.address)) == Set((2...6).map { "10.40.3.\($0)" }))
            #expect(Set(all.map(\.macAddress)).count == 5)
            #expect(all.allSatisfy { $0.macAddress.hasPrefix("02:") })
        }
    }

    @Test func `a tenant with machines is not deleted`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            try await fixture.ask(.create(PoolFixture.instance("one")))
            await #expect {
                try await fixture.pool.query(
                    PostgresStatement("update control.tenant set state = 'deleting' where id = 'h1'"))
            } throws: {
                ($0 as? PostgresError)?.serverMessage == "the tenant still has instance one, network lan"
            }
        }
    }
}

/// A small generator with a seed (Steele, Lea, Flood: SplitMix64).
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
