import ClinicalData
import Testing

@testable import EventBus

@Suite struct DeliveryRecordTests {
    private func change(
        _ sequence: Int64, of aggregate: Int64, attempts: Int32 = 0, isBlocked: Bool = false
    ) throws -> OutboxChange {
        OutboxChange(
            event: OutboxEvent(
                id: .init("t_x", sequence), aggregate: aggregate, type: try #require(ResourceType.named("Patient")),
                resourceID: "p\(aggregate)", version: 1, method: .update, at: 0),
            attempts: attempts, isBlocked: isBlocked)
    }

    @Test func `a change behind a waiting one waits`() throws {
        var record = DeliveryRecord()
        let free = record.holdBack([try change(1, of: 1), try change(2, of: 2, isBlocked: true)])
        #expect(free.map(\.event.sequence) == [1])
        #expect(record.deferred.map(\.sequence) == [2])
        #expect(record.deferred[0].attempts == 0)
    }

    @Test func `a refused change is tried again, and what follows it waits`() throws {
        var record = DeliveryRecord()
        record.failed([try change(1, of: 1), try change(3, of: 1)], reason: "no", policy: RetryPolicy())
        #expect(record.deferred.map(\.sequence) == [1, 3])
        #expect(record.deferred.map(\.attempts) == [1, 0])
        #expect(record.deferred[0].pause == .seconds(1))
        #expect(!record.deferred[0].isParked)
    }

    @Test func `pauses double up to a limit, and the last try parks`() throws {
        let policy = RetryPolicy()
        #expect(policy.decide(after: 1) == .again(after: .seconds(1)))
        #expect(policy.decide(after: 4) == .again(after: .seconds(8)))
        #expect(policy.decide(after: 7) == .again(after: .seconds(60)))
        #expect(policy.decide(after: 8) == .park)
        var record = DeliveryRecord()
        record.failed([try change(1, of: 1, attempts: 7)], reason: "no", policy: policy)
        #expect(record.deferred[0].isParked)
        #expect(record.deferred[0].attempts == 8)
    }

    @Test func `groups keep the order within a resource`() throws {
        let groups = DeliveryRecord.byAggregate([
            try change(1, of: 7), try change(2, of: 8), try change(3, of: 7), try change(4, of: 9),
        ])
        #expect(groups.map { $0.map(\.event.sequence) } == [[1, 3], [2], [4]])
    }
}
