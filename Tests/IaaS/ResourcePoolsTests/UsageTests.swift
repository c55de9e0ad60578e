import CloudModel
import PostgresDriver
import ResourcePools
import Testing
import Virtualization

struct UsageTests {
    @Test func `intervals follow each other without a gap, and their sum is the time that went by`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            let begin = try await now(fixture)
            let created = try await fixture.ask(.create(PoolFixture.instance("one")))
            try await fixture.end(created)
            let row = try #require(try await fixture.instance("one"))
            try await fixture.withLeader { leader in
                let store = PoolStore(leader: leader)
                try await store.observe(row.id, .running)
                try await Task.sleep(for: .milliseconds(60))
                try await store.observe(row.id, .crashed)
                try await store.observe(row.id, .crashed)
                try await Task.sleep(for: .milliseconds(40))
                try await store.observe(row.id, .running)
            }
            let change = try await fixture.ask(.update(PoolFixture.instance("one", vcpus: 3)))
            try await Task.sleep(for: .milliseconds(30))
            try await fixture.end(change)
            try await fixture.end(try await fixture.ask(.change(.delete, name: "one")))
            let end = try await now(fixture)

            let intervals = try await fixture.gateway.usage(
                of: PoolFixture.tenant, from: begin, to: end, acting: PoolFixture.tenant)
            #expect(intervals.map(\.reason) == ["created", "started", "stopped", "started", "resized"])
            #expect(intervals.map(\.isRunning) == [false, true, false, true, true])
            #expect(intervals.map(\.virtualCPUs) == [1, 1, 1, 1, 3])
            for (one, next) in zip(intervals, intervals.dropFirst()) { #expect(one.end == next.begin) }
            let first = try #require(intervals.first).begin
            let last = try #require(intervals.last).end
            #expect(begin <= first && last <= end)
            let summary = try #require(UsageSummary.summaries(of: intervals).first)
            #expect(abs(summary.seconds - Double(last - first) / 1_000_000) < 0.001)
            #expect(summary.runningSeconds >= 0.09)
            #expect(summary.seconds - summary.runningSeconds >= 0.04)
            #expect(summary.vcpuSeconds > summary.runningSeconds)
            // Half of it.
            let middle = first + (last - first) / 2
            let halves = try await fixture.gateway.usage(
                of: PoolFixture.tenant, from: first, to: middle, acting: nil)
            #expect(halves.reduce(0) { $0 + $1.end - $1.begin } == middle - first)
            // Others' is not to be seen.
            await #expect(throws: ResourcePoolError.self) {
                try await fixture.gateway.usage(
                    of: PoolFixture.tenant, from: begin, to: end, acting: PoolFixture.other)
            }
        }
    }

    @Test(arguments: [
        "update control.usage set vcpus = 0", "delete from control.usage", "truncate control.usage",
    ])
    func `what was used is not rewritten`(_ sql: String) async throws {
        try await PoolFixture.run { fixture in
            await #expect { try await fixture.pool.withConnection { try await $0.execute(sql) } } throws: {
                ($0 as? PostgresError)?.sqlState == "MC403"
            }
        }
    }

    private func now(_ fixture: PoolFixture) async throws -> Int64 {
        try await fixture.pool.query(
            PostgresStatement("select (extract(epoch from clock_timestamp()) * 1000000)::bigint"))[0].int8(0)
    }

    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-11-29T05:00:00.250Z", 1_795_928_400_250_000),
            ("2026-11-29T05:00:00+08:00", 1_795_899_600_000_000), ("2024-02-29T00:00:00-00:30", 1_709_166_600_000_000),
        ] as [(String, Int64)])
    func `times are read and written`(_ text: String, _ value: Int64) {
        #expect(InstantText.parse(text) == value)
        #expect(InstantText.parse(InstantText.format(value)) == value)
    }

    @Test(arguments: [
        "", "2026-11-29", "2026-11-29T05:00:00", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-29T24:00:00Z",
        "2026-11-29T05:00:00.Z", "2026-11-29T05:00:00Zx", "1969-12-31T23:59:59Z", "2026-11-29 05:00:00Z",
        "2026-11-29T05:00:00+0800",
    ])
    func `what is no time is refused`(_ text: String) {
        #expect(InstantText.parse(text) == nil)
    }
}
