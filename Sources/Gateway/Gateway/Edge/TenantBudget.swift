import CloudModel
import Synchronization

/// How much one tenant, and all together, may have under way in this worker: a noisy tenant gets 429 before it takes the
/// others' share, and a worker that has more than it can do says 503.
package final class TenantBudget: Sendable {
    /// What a request holds while it is under way. Give it back once, with ``TenantBudget/release(_:)``.
    struct Lease: Sendable {
        /// nil: nobody's, which only counts among all.
        let tenant: TenantID?
        fileprivate let slot: Slot?
    }

    enum Refusal: Error, Sendable, Hashable {
        /// The tenant has as much under way as it may.
        case tenant
        /// The worker has.
        case worker
    }

    fileprivate final class Slot: Sendable {
        let underWay = Atomic<Int>(0)
    }

    private let perTenant: Int
    private let total: Int
    private let all = Slot()
    private let slots = Mutex<[TenantID: Slot]>([:])

    package init(perTenant: Int, total: Int) {
        self.perTenant = perTenant
        self.total = total
    }

    /// - Parameter tenant: nil: for an operator.
    func acquire(_ tenant: TenantID?) throws(Refusal) -> Lease {
        guard all.underWay.wrappingAdd(1, ordering: .relaxed).newValue <= total else {
            all.underWay.wrappingSubtract(1, ordering: .relaxed)
            throw .worker
        }
        guard let tenant else { return Lease(tenant: nil, slot: nil) }
        let slot = slots.withLock { slots in
            if let slot = slots[tenant] { return slot }
            let slot = Slot()
            slots[tenant] = slot
            return slot
        }
        guard slot.underWay.wrappingAdd(1, ordering: .relaxed).newValue <= perTenant else {
            slot.underWay.wrappingSubtract(1, ordering: .relaxed)
            all.underWay.wrappingSubtract(1, ordering: .relaxed)
            throw .tenant
        }
        return Lease(tenant: tenant, slot: slot)
    }

    func release(_ lease: Lease) {
        lease.slot?.underWay.wrappingSubtract(1, ordering: .relaxed)
        all.underWay.wrappingSubtract(1, ordering: .relaxed)
    }

    /// Requests under way, for the metrics.
    package var underWay: Int { all.underWay.load(ordering: .relaxed) }
}
