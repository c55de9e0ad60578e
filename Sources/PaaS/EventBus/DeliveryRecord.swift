/// A change as it was read from the outbox.
struct OutboxChange: Sendable, Hashable {
    let event: OutboxEvent
    /// Tries before this one.
    let attempts: Int32
    /// An earlier change of the same resource waits: this one has to wait behind it.
    let isBlocked: Bool
}

/// What became of the changes of one step, for `outbox.advance`.
struct DeliveryRecord: Sendable, Equatable {
    struct Deferral: Sendable, Hashable {
        let sequence: Int64
        let attempts: Int32
        let pause: Duration
        let isParked: Bool
        let reason: String
    }

    /// Changes that had waited and are done now.
    private(set) var done: [Int64] = []
    private(set) var deferred: [Deferral] = []
    /// Changes delivered.
    private(set) var delivered = 0
    private(set) var refused = 0

    /// Puts aside the changes that have to wait behind others; returns the rest.
    mutating func holdBack(_ changes: [OutboxChange]) -> [OutboxChange] {
        changes.filter { change in
            if change.isBlocked { wait(change) }
            return !change.isBlocked
        }
    }

    /// - Parameter waited: whether the changes come from `outbox.deferred`.
    mutating func succeeded(_ changes: [OutboxChange], waited: Bool) {
        delivered += changes.count
        if waited { done += changes.map(\.event.sequence) }
    }

    /// The changes of one resource, in order, failed: the first was refused, the others wait for it.
    mutating func failed(_ changes: [OutboxChange], reason: String, policy: RetryPolicy) {
        guard let first = changes.first else { return }
        refused += 1
        let attempts = first.attempts + 1
        switch policy.decide(after: attempts) {
        case .again(let pause):
            deferred.append(
                Deferral(
                    sequence: first.event.sequence, attempts: attempts, pause: pause, isParked: false, reason: reason))
        case .park:
            deferred.append(
                Deferral(
                    sequence: first.event.sequence, attempts: attempts, pause: .zero, isParked: true, reason: reason))
        }
        for change in changes.dropFirst() { wait(change) }
    }

    private mutating func wait(_ change: OutboxChange) {
        deferred.append(
            Deferral(
                sequence: change.event.sequence, attempts: 0, pause: .zero, isParked: false,
                reason: "waits for an earlier change of the same resource"))
    }

    /// The changes by resource, each group in order, groups by their first change.
    static func byAggregate(_ changes: [OutboxChange]) -> [[OutboxChange]] {
        var groups: [[OutboxChange]] = []
        var positions: [Int64: Int] = [:]
        for change in changes {
            if let position = positions[change.event.aggregate] {
                groups[position].append(change)
            } else {
                positions[change.event.aggregate] = groups.count
                groups.append([change])
            }
        }
        return groups
    }
}
