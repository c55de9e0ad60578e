import CloudModel
import PostgresDriver
import ResourcePools
import Testing

/// Who has which addresses while networks take each other's places in one plan.
struct NetworkRangeTests {
    private static let first = "10.40.1.0/24"
    private static let second = "10.40.2.0/24"

    private func delete(_ name: String, _ fixture: PoolFixture) async throws -> String {
        try await fixture.pool.query(
            PostgresStatement("select control.delete_network('test', 'h1', $1, null, null)::text"), [.text(name)])[0]
            .string(0)
    }

    private func create(_ name: String, _ cidr: String, after: [String], _ fixture: PoolFixture) async throws -> String
    {
        try await fixture.pool.query(
            PostgresStatement("select control.create_network('test', 'h1', $1::jsonb, null, $2::uuid[])::text"),
            [.text(PoolFixture.network(name, cidr)), .text("{" + after.joined(separator: ",") + "}")])[0].string(0)
    }

    /// Whether the other tenant gets this range; it is given back then.
    private func isFree(_ cidr: String, _ fixture: PoolFixture) async throws -> Bool {
        do {
            let id = try await fixture.gateway.createNetwork(
                PoolFixture.network("theirs", cidr), of: PoolFixture.other, acting: PoolFixture.other, actor: "test")
            try await fixture.end(id, "cancelled")
            return true
        } catch let error as ResourcePoolError {
            #expect(error.message == "the address range is not free in this region; choose another")
            return false
        }
    }

    private func networks(_ fixture: PoolFixture) async throws -> [String] {
        try await fixture.gateway.networks(of: PoolFixture.tenant, acting: nil).map {
            "\($0.name) \($0.cidr) \($0.state)"
        }
    }

    @Test(arguments: [["failed", "failed", "failed"], ["cancelled", "failed", "failed"]], [false, true])
    func `a range that another network of the plan was to have comes back with its own`(
        ends: [String], lastFirst: Bool
    ) async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork("lan", Self.first)
            let going = try await delete("lan", fixture)
            let moved = try await create("lan", Self.second, after: [going], fixture)
            let taken = try await create("web", Self.first, after: [going], fixture)
            #expect(try await !isFree(Self.first, fixture))
            let all = Array(zip([going, moved, taken], ends))
            for (id, end) in lastFirst ? all.reversed() : all { try await fixture.end(id, end) }
            #expect(try await networks(fixture) == ["lan \(Self.first) ready"])
            #expect(try await !isFree(Self.first, fixture))
            #expect(try await isFree(Self.second, fixture))
            #expect(try await fixture.used()["networks"] == 1)
            #expect(try await fixture.differences() == [])
        }
    }

    @Test func `a range moves to another network, and the name to another range`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork("lan", Self.first)
            let going = try await delete("lan", fixture)
            let moved = try await create("lan", Self.second, after: [going], fixture)
            let taken = try await create("web", Self.first, after: [going], fixture)
            for id in [going, moved, taken] { try await fixture.end(id) }
            #expect(try await networks(fixture) == ["lan \(Self.second) ready", "web \(Self.first) ready"])
            #expect(try await fixture.differences() == [])
        }
    }

    @Test(arguments: ["succeeded", "failed"])
    func `two networks exchange their ranges, or keep them`(_ end: String) async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork("lan", Self.first)
            try await fixture.makeNetwork("wan", Self.second)
            let going = [try await delete("lan", fixture), try await delete("wan", fixture)]
            let coming = [
                try await create("lan", Self.second, after: going, fixture),
                try await create("wan", Self.first, after: going, fixture),
            ]
            for id in going + coming { try await fixture.end(id, end) }
            let (lan, wan) = end == "succeeded" ? (Self.second, Self.first) : (Self.first, Self.second)
            #expect(try await networks(fixture) == ["lan \(lan) ready", "wan \(wan) ready"])
            for range in [Self.first, Self.second] { #expect(try await !isFree(range, fixture)) }
            #expect(try await fixture.differences() == [])
        }
    }

    @Test(arguments: ["succeeded", "cancelled"])
    func `a network that is replaced keeps its addresses from others until it is gone`(_ end: String) async throws {
        try await PoolFixture.run { fixture in
            // Replaced by a range outside, by a part and by the whole.
            for (name, before, after) in [
                ("lan", Self.first, Self.second), ("part", "10.41.0.0/16", "10.41.1.0/24"),
                ("whole", "10.42.1.0/24", "10.42.0.0/16"),
            ] {
                try await fixture.makeNetwork(name, before)
                let going = try await delete(name, fixture)
                let coming = try await create(name, after, after: [going], fixture)
                for range in [before, after] { #expect(try await !isFree(range, fixture)) }
                if name == "part" { #expect(try await !isFree("10.41.2.0/24", fixture)) }
                try await fixture.end(going, end)
                try await fixture.end(coming, end)
                let (has, hasNot) = end == "succeeded" ? (after, before) : (before, after)
                #expect(try await networks(fixture).contains("\(name) \(has) ready"))
                #expect(try await !isFree(has, fixture))
                if name == "lan" { #expect(try await isFree(hasNot, fixture)) }
                if name == "part" { #expect(try await isFree("10.41.2.0/24", fixture) == (end == "succeeded")) }
            }
            #expect(try await fixture.differences() == [])
        }
    }

    @Test func `a deletion that never began leaves the network ready, one that was cut off does not`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork("lan", Self.first)
            try await fixture.end(try await delete("lan", fixture), "cancelled")
            #expect(try await networks(fixture) == ["lan \(Self.first) ready"])
            let instance = try await fixture.ask(.create(PoolFixture.instance("one")))
            try await fixture.end(instance, "cancelled")
            try await fixture.end(fixture.begunForGood(try await delete("lan", fixture)), "failed")
            #expect(try await networks(fixture) == ["lan \(Self.first) failed"])
            try await fixture.end(try await delete("lan", fixture), "failed")
            #expect(try await networks(fixture) == ["lan \(Self.first) failed"])
            try await fixture.end(try await delete("lan", fixture))
            #expect(try await networks(fixture) == [])
        }
    }
}
