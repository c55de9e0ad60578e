import Synchronization

/// Something that holds connections of a budget.
protocol PostgresBudgetMember: AnyObject, Sendable {
    /// Asks to close one idle connection; true when one is being closed.
    func shedIdleConnection() -> Bool
    /// A connection that was denied before may be opened now.
    func budgetIsAvailable()
}

/// A hard cap of Postgres connections, shared by pools and pipelines of a process. Whoever is refused is called back
/// when a connection is closed, in the order of asking. To make room, idle connections of others are closed, and a pool
/// that has had its turn gives up a connection when it comes back.
package final class PostgresConnectionBudget: Sendable {
    private struct WeakMember {
        weak var member: (any PostgresBudgetMember)?
    }
    private struct State {
        var used = 0
        var members: [ObjectIdentifier: WeakMember] = [:]
        var waiting: [WeakMember] = []
    }
    package let limit: Int
    private let state = Mutex(State())

    package init(limit: Int) {
        self.limit = max(1, limit)
    }

    /// Connections open or being opened.
    package var used: Int { state.withLock { state in state.used } }

    /// Somebody else was denied a connection and waits for one.
    func hasWaiters(beside member: any PostgresBudgetMember) -> Bool {
        state.withLock { state in
            state.waiting.contains { waiting in waiting.member.map { waiting in waiting !== member } ?? false }
        }
    }

    func acquire(for member: any PostgresBudgetMember) -> Bool {
        let others: [any PostgresBudgetMember]? = state.withLock { state in
            state.members[ObjectIdentifier(member)] = WeakMember(member: member)
            if state.used < limit {
                state.used += 1
                return nil
            }
            if !state.waiting.contains(where: { waiting in waiting.member === member }) {
                state.waiting.append(WeakMember(member: member))
            }
            state.members = state.members.filter { entry in entry.value.member != nil }
            return state.members.values.compactMap(\.member)
        }
        guard let others else { return true }
        for other in others where other !== member {
            if other.shedIdleConnection() { break }
        }
        return false
    }

    func release() {
        // All are told, in order: one that has no use for it any more would keep it from the next. Who is refused again
        // asks again.
        let waiting: [WeakMember] = state.withLock { state in
            state.used -= 1
            defer { state.waiting.removeAll() }
            return state.waiting
        }
        for entry in waiting { entry.member?.budgetIsAvailable() }
    }
}
