import CloudModel
import PostgresDriver
import TenantRegistry
import TestSupport
import Testing

@testable import EventBus

@Suite struct OutboxDeliveryTests {
    @Test func `changes that commit late are never left behind, and each resource's come in order`() async throws {
        let fixture = try await OutboxFixture()
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        let pumps = [fixture.pump(consumer), fixture.pump(consumer)]
        try await fixture.running(pumps) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<8 {
                    group.addTask {
                        for _ in 0..<25 {
                            // Shared resources make transactions wait for each other in the middle.
                            let ids = ["own-\(writer)", "shared-\(Int.random(in: 0..<4))"]
                            try await fixture.write(
                                ids, openFor: .milliseconds(Int.random(in: 0...12)), commits: Int.random(in: 0..<6) > 0)
                            pumps[writer % 2].committed(fixture.tenant)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let committed = Set(try await fixture.committed())
            #expect(
                try await fixture.eventually { Set(consumer.events.map(\.sequence)) == committed },
                "\(committed.subtracting(consumer.events.map(\.sequence))) were not delivered")
        }
        #expect(consumer.overlaps == 0)
        var versions: [Int64: Int32] = [:]
        var seen: Set<OutboxEvent.ID> = []
        for event in consumer.events where seen.insert(event.id).inserted {
            #expect(event.version == versions[event.aggregate, default: 0] + 1)
            versions[event.aggregate] = event.version
        }
    }

    @Test func `a change before the consumer's first lease is delivered`() async throws {
        let fixture = try await OutboxFixture()
        try await fixture.write("a", "b")
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        try await fixture.running([fixture.pump(consumer)]) {
            try await fixture.expect { consumer.events.count == 2 }
        }
    }

    @Test func `two consumers follow one tenant, and neither waits for the other`() async throws {
        let fixture = try await OutboxFixture()
        let first = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        let second = RecordingConsumer(name: fixture.consumer + "-too", tenant: fixture.tenant)
        first.refuse("bad")
        try await fixture.write("bad", "good")
        let pumps = [fixture.pump(first), fixture.pump(second)]
        let region = fixture.region.regionDatabase()
        try await fixture.running(pumps) {
            try await fixture.expect { second.events.map(\.resourceID).sorted() == ["bad", "good"] }
            try await fixture.expect {
                try await region.call(
                    Self.feeds, [.text(fixture.tenant.rawValue), .text(first.name)]
                ).first?.int8(0) == 1
            }
            try await fixture.write("later")
            for pump in pumps { pump.committed(fixture.tenant) }
            try await fixture.expect { first.events.map(\.resourceID).sorted() == ["good", "later"] }
            try await fixture.expect { second.events.count == 3 }
            // What one asks for, each is asked for.
            try await OutboxFeeds(region: region).ask(.rebuild, of: fixture.tenant.rawValue)
            for consumer in [first, second] {
                try await fixture.expect { consumer.rebuilds == ["begin", "end"] }
            }
        }
    }

    @Test func `a write elsewhere reaches the holder at once`() async throws {
        let fixture = try await OutboxFixture()
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        var settings = OutboxFixture.settings
        settings.idle = .seconds(30)
        let (holder, other) = (fixture.pump(consumer, settings: settings), fixture.pump(consumer, settings: settings))
        try await fixture.running([holder]) {
            try await fixture.write("a")
            holder.committed(fixture.tenant)
            try await fixture.expect { consumer.events.count == 1 }
            try await fixture.running([other]) {
                // The other learns first that it has no lease.
                try await Task.sleep(for: .milliseconds(500))
                let began = ContinuousClock.now
                try await fixture.write("b")
                other.committed(fixture.tenant)
                try await fixture.expect { consumer.events.count == 2 }
                #expect(ContinuousClock.now - began < .seconds(2))
            }
        }
    }

    @Test func `a dead holder is replaced once its lease is over`() async throws {
        let fixture = try await OutboxFixture()
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        guard case .mine = try await fixture.leases(holder: "dead").claim(fixture.tenant) else {
            Issue.record("the lease was not free")
            return
        }
        let began = ContinuousClock.now
        try await fixture.write("a")
        let pump = fixture.pump(consumer)
        try await fixture.running([pump]) {
            pump.committed(fixture.tenant)
            try await fixture.expect { consumer.events.count == 1 }
            // Five seconds on a quiet machine; a test that measured that would fail on a busy one.
            #expect(ContinuousClock.now - began > .seconds(2))
        }
    }

    @Test func `a holder that wakes up after its lease moves nothing`() async throws {
        let fixture = try await OutboxFixture()
        try await fixture.write("a")
        let stalled = fixture.leases(holder: "stalled", duration: .milliseconds(50))
        guard case .mine(let first) = try await stalled.claim(fixture.tenant) else {
            Issue.record("the lease was not free")
            return
        }
        _ = try await fixture.outbox(token: first.token).take()
        try await Task.sleep(for: .milliseconds(100))
        guard case .mine(let second) = try await fixture.leases(holder: "next").claim(fixture.tenant) else {
            Issue.record("the lease did not expire")
            return
        }
        #expect(second.token > first.token)
        _ = try await fixture.outbox(token: second.token).take()
        let refusal = await #expect(throws: PostgresError.self) {
            try await fixture.outbox(token: first.token).advance(to: 1, DeliveryRecord())
        }
        #expect(refusal.map { DeliveryFailure($0) } == .leaseLost(token: nil))
        let late = await #expect(throws: PostgresError.self) { try await fixture.outbox(token: first.token).take() }
        #expect(late.map { DeliveryFailure($0) } == .leaseLost(token: second.token))
        let news = try await stalled.renew([first])
        #expect(news.contains { $0.0 == fixture.tenant && $0.1 == .lost })
    }

    @Test func `a region database that was restored gives tokens beyond the tenant's`() async throws {
        let fixture = try await OutboxFixture()
        _ = try await fixture.outbox(token: 1000).take()
        try await fixture.write("a")
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        let pump = fixture.pump(consumer)
        try await fixture.running([pump]) {
            try await fixture.expect {
                pump.committed(fixture.tenant)
                return consumer.events.count == 1
            }
        }
    }

    @Test func `a region database that was restored hears what it lacks, also what had waited when it was copied`()
        async throws
    {
        let fixture = try await OutboxFixture()
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        consumer.refuse("late")
        let superuser = fixture.region.superuser(cluster: "control", database: "region")
        let key: [PostgresValue] = [.text(fixture.tenant.rawValue), .text(fixture.consumer)]
        /// The position, and what waits below it.
        func standing() async throws -> [Int64] {
            let rows = try await superuser.query(
                PostgresStatement("select heard, waiting from outbox.lease where tenant = $1 and consumer = $2"), key)
            guard let row = rows.first else { return [] }
            return [try row.int8(0)] + (try row.int8Array(1))
        }
        for id in ["first", "late", "next"] { try await fixture.write(id) }
        let numbers = try await fixture.committed()
        try await fixture.running([fixture.pump(consumer)]) {
            try await fixture.expect { try await standing() == [numbers[2], numbers[1]] }
        }
        consumer.refuse("late", false)
        try await fixture.write("last")
        let pump = fixture.pump(consumer)
        try await fixture.running([pump]) {
            _ = try await fixture.region.regionDatabase().call(
                Self.ask, [.text(fixture.tenant.rawValue), .text("retry")])
            try await fixture.expect { try await standing() == [numbers[2] + 1] }
        }
        _ = try await superuser.query(
            PostgresStatement(
                """
                update outbox.lease set position = $3, heard = $3, waiting = array[$4::bigint]
                where tenant = $1 and consumer = $2
                """), key + [.int8(numbers[2]), .int8(numbers[1])])
        let restored = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        try await fixture.running([fixture.pump(restored)]) {
            try await fixture.expect { try await standing() == [numbers[2] + 1] }
        }
        #expect(restored.events.map(\.resourceID) == ["late", "last"])
        await superuser.shutdown()
    }

    @Test func `a feed that cannot go on does not forget where it was`() async throws {
        let fixture = try await OutboxFixture()
        let leases = fixture.leases(holder: "one")
        guard case .mine(let first) = try await leases.claim(fixture.tenant) else {
            Issue.record("the lease was not free")
            return
        }
        #expect(first.position == 0 && first.heard == HeardChanges())
        var standing = FeedStanding()
        standing.position = 9
        standing.heard = HeardChanges(upTo: 9, waiting: [7])
        try await leases.report(standing, first)
        try await leases.fail("away", first)
        try await leases.release(first, tokenSeen: first.token)
        guard case .mine(let second) = try await leases.claim(fixture.tenant) else {
            Issue.record("the lease was not given back")
            return
        }
        #expect(second.position == 9 && second.heard == standing.heard)
    }

    @Test func `what waits beyond the number that is kept counts as not heard of`() {
        let waiting = (1...Int64(HeardChanges.maximumWaiting) + 1).map { $0 * 2 }
        #expect(HeardChanges(upTo: 9000, waiting: waiting.dropLast()).position == 9000)
        let heard = HeardChanges(upTo: 9000, waiting: waiting)
        #expect(heard.position == 2001 && heard.waiting == waiting.dropLast())
    }

    @Test func `an outage of the consumer loses nothing and parks nothing`() async throws {
        let fixture = try await OutboxFixture()
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        consumer.failNext(3)
        let pump = fixture.pump(consumer)
        try await fixture.running([pump]) {
            try await fixture.write("a", "b")
            pump.committed(fixture.tenant)
            try await fixture.expect { consumer.events.count == 2 }
        }
    }

    @Test func `a feed that failed is looked at again while the consumer forgets a large tenant`() async throws {
        let fixture = try await OutboxFixture()
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        consumer.forgetForEver()
        consumer.failNext(3)
        let pump = fixture.pump(consumer)
        try await fixture.running([pump]) {
            try await fixture.write("a")
            pump.committed(fixture.tenant)
            try await fixture.expect { consumer.events.count == 1 }
        }
    }

    private static let id = PostgresStatement("select pg_current_xact_id()::text::int8")

    @Test func `a write that failed does not wait for who writes in another database`() async throws {
        let (fixture, elsewhere) = (try await OutboxFixture(), try await OutboxFixture())
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        let pump = fixture.pump(consumer)
        try await elsewhere.database.pool.withTransaction { other in
            _ = try await other.query(Self.id, [])
            try await fixture.running([pump]) {
                try await fixture.write(["a"], openFor: .zero, commits: false)
                try await fixture.write("b")
                pump.committed(fixture.tenant)
                try await fixture.expect { consumer.events.map(\.resourceID) == ["b"] }
            }
        }
    }

    @Test func `who writes in the database itself is waited for`() async throws {
        let fixture = try await OutboxFixture()
        let outbox = fixture.outbox(token: 1)
        func oldestRunning() async throws -> Int64 {
            try await outbox.look(after: 0, limit: 1, whoRuns: true).oldestRunning
        }
        try await fixture.database.pool.withTransaction { own in
            let running = try await own.query(Self.id, [])[0].int8(0)
            let barrier = try await outbox.newTransactionID()
            let oldest = try await oldestRunning()
            #expect(running < barrier && oldest <= running)
        }
        let barrier = try await outbox.newTransactionID()
        try await fixture.expect { try await oldestRunning() > barrier }
    }

    @Test func `what is asked for while another wish is granted stays asked for`() async throws {
        let fixture = try await OutboxFixture()
        let leases = fixture.leases(holder: "granting")
        guard case .mine(let lease) = try await leases.claim(fixture.tenant) else {
            Issue.record("the lease was not free")
            return
        }
        func wish() async throws -> OutboxLeases.News? {
            try await leases.renew([lease]).first { $0.0 == fixture.tenant }?.1
        }
        let feeds = OutboxFeeds(region: fixture.region.regionDatabase())
        try await feeds.ask(.retry, of: fixture.tenant.rawValue)
        #expect(try await wish() == .wish(.retry))
        try await feeds.ask(.rebuild, of: fixture.tenant.rawValue)
        try await leases.grantWish(.retry, lease)
        #expect(try await wish() == .wish(.rebuild))
        try await leases.grantWish(.rebuild, lease)
        #expect(try await wish() == nil)
    }

    private static let ask = PostgresStatement("select tenant from outbox.ask('region', $1, $2)")
    private static let feeds = PostgresStatement(
        "select parked, parked_changes, deferred from outbox.feeds($1, $1) where consumer = $2")

    @Test func `a poisonous change is parked with its reason and holds up its own resource only`() async throws {
        let fixture = try await OutboxFixture()
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        consumer.refuse("poison")
        let pump = fixture.pump(consumer)
        let region = fixture.region.regionDatabase()
        func standing() async throws -> (parked: Int64, changes: String, deferred: Int64) {
            let rows = try await region.call(
                Self.feeds, [.text(fixture.tenant.rawValue), .text(fixture.consumer)])
            guard let row = rows.first else { return (0, "", 0) }
            return (try row.int8(0), try row.string(1), try row.int8(2))
        }
        try await fixture.running([pump]) {
            try await fixture.write("a", "poison", "b")
            pump.committed(fixture.tenant)
            try await fixture.expect { consumer.events.count == 2 }
            try await fixture.expect { try await standing().parked == 1 }
            try await fixture.write("poison")
            try await fixture.write("c")
            pump.committed(fixture.tenant)
            try await fixture.expect { consumer.events.count == 3 }
            try await fixture.expect { try await standing().deferred == 2 }
            let changes = try await standing().changes
            #expect(changes.contains("this resource is refused") && changes.contains(#""type": "Basic""#))

            consumer.refuse("poison", false)
            try await region.call(Self.ask, [.text(fixture.tenant.rawValue), .text("retry")])
            try await fixture.expect { consumer.events.count == 5 }
            #expect(consumer.events.filter { $0.resourceID == "poison" }.map(\.version) == [1, 2])
            try await fixture.expect { try await standing().deferred == 0 }
        }
    }

    private static let holding = PostgresStatement(
        "select is_held, parked from outbox.feeds($1, $1) where consumer = $2")

    @Test func `a feed with nothing to do gives its lease back, also when a change is parked`() async throws {
        let fixture = try await OutboxFixture()
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        var settings = OutboxFixture.settings
        // Longer than the pause between two reports, so that what it ends with is told.
        settings.idle = .milliseconds(1500)
        let pump = fixture.pump(consumer, settings: settings)
        let region = fixture.region.regionDatabase()
        /// Whether the lease is free, and so many changes are parked.
        func isFree(parked: Int64) async throws -> Bool {
            let rows = try await region.call(
                Self.holding, [.text(fixture.tenant.rawValue), .text(fixture.consumer)])
            guard let row = rows.first else { return false }
            return try !row.bool(0) && row.int8(1) == parked
        }
        try await fixture.running([pump]) {
            try await fixture.write("a")
            pump.committed(fixture.tenant)
            try await fixture.expect { consumer.events.count == 1 }
            try await fixture.expect { try await isFree(parked: 0) }
            consumer.refuse("poison")
            try await fixture.write("poison")
            pump.committed(fixture.tenant)
            try await fixture.expect { try await isFree(parked: 1) }
            try await fixture.write("b")
            pump.committed(fixture.tenant)
            try await fixture.expect { consumer.events.count == 2 }
            try await fixture.expect { try await isFree(parked: 1) }
        }
    }

    @Test func `a rebuild delivers everything again and says when it is done`() async throws {
        let fixture = try await OutboxFixture()
        let consumer = RecordingConsumer(name: fixture.consumer, tenant: fixture.tenant)
        let pump = fixture.pump(consumer)
        try await fixture.running([pump]) {
            try await fixture.write("a", "b")
            pump.committed(fixture.tenant)
            try await fixture.expect { consumer.events.count == 2 }
            let began = consumer.events.count
            _ = try await fixture.region.regionDatabase().call(
                Self.ask, [.text(fixture.tenant.rawValue), .text("rebuild")])
            try await fixture.expect { consumer.rebuilds == ["begin", "end"] }
            #expect(consumer.events.count == began * 2)
            #expect(Set(consumer.events.map(\.id)).count == began)
        }
    }
}
