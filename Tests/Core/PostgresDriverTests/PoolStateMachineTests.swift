import NIOCore
import Testing

@testable import PostgresDriver

@Suite struct PoolStateMachineTests {
    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func `waiters are served in the order of asking`() {
        var pool = PoolStateMachine(maximumConnections: 1, maximumWaiters: 10)
        #expect(pool.lease(1) == .wait(open: 1))
        #expect(pool.lease(2) == .wait(open: nil))
        #expect(pool.lease(3) == .wait(open: nil))
        #expect(pool.connected(1, now: now).action == .serve(1, 1))
        #expect(pool.released(1, isReusable: true, now: now).action == .serve(2, 1))
        #expect(pool.released(1, isReusable: true, now: now).action == .serve(3, 1))
        #expect(pool.released(1, isReusable: true, now: now).action == .park)
        #expect(pool.lease(4) == .use(1))
    }

    @Test func `connections and waiters are bounded`() {
        var pool = PoolStateMachine(maximumConnections: 2, maximumWaiters: 3)
        #expect(pool.lease(1) == .wait(open: 1))
        #expect(pool.lease(2) == .wait(open: 2))
        #expect(pool.lease(3) == .wait(open: nil))
        #expect(pool.lease(4) == .rejectFull)
        #expect(pool.openOrOpening == 2)
    }

    @Test func `a cancelled waiter is passed over`() {
        var pool = PoolStateMachine(maximumConnections: 1, maximumWaiters: 3)
        _ = pool.lease(1)
        _ = pool.lease(2)
        let first = pool.cancel(1)
        let second = pool.cancel(1)
        #expect(first && !second)
        #expect(pool.connected(1, now: now).action == .serve(2, 1))
    }

    @Test func `a connection that cannot be used again is closed and replaced for those who wait`() {
        var pool = PoolStateMachine(maximumConnections: 1, maximumWaiters: 3)
        _ = pool.lease(1)
        _ = pool.connected(1, now: now)
        _ = pool.lease(2)
        #expect(pool.released(1, isReusable: false, now: now) == .init(action: .close(1), open: [2]))
        #expect(pool.connected(2, now: now).action == .serve(2, 2))
    }

    @Test func `a failure to connect is followed by one attempt at a time, later each time`() throws {
        var pool = PoolStateMachine(maximumConnections: 3, maximumWaiters: 9)
        for waiter in 1...3 { _ = pool.lease(UInt64(waiter)) }
        #expect(pool.connectFailed(1, isPermanent: false, random: 0) == .retry(after: .milliseconds(10)))
        #expect(pool.connectFailed(2, isPermanent: false, random: 0) == .nothing)
        #expect(pool.connectFailed(3, isPermanent: true, random: 0) == .fail([1, 2, 3]))
    }

    @Test func `after a recovery all waiters get their connections`() {
        var pool = PoolStateMachine(maximumConnections: 3, maximumWaiters: 9)
        for waiter in 1...3 { _ = pool.lease(UInt64(waiter)) }
        for connection in 1...3 { _ = pool.connectFailed(connection, isPermanent: false, random: 0) }
        #expect(pool.lease(4) == .wait(open: nil))
        #expect(pool.retry() == 4)
        #expect(pool.connected(4, now: now) == .init(action: .serve(1, 4), open: [5, 6]))
    }

    @Test func `a connection refused by the budget is asked for again when there is room`() {
        var pool = PoolStateMachine(maximumConnections: 3, maximumWaiters: 9)
        #expect(pool.lease(1) == .wait(open: 1))
        pool.connectDenied(1)
        #expect(pool.lease(2) == .wait(open: nil))
        #expect(pool.retry() == 2)
    }

    @Test func `idle connections age and the oldest are closed`() {
        var pool = PoolStateMachine(maximumConnections: 2, maximumWaiters: 9)
        _ = pool.lease(1)
        _ = pool.lease(2)
        _ = pool.connected(1, now: now)
        _ = pool.connected(2, now: now)
        _ = pool.released(1, isReusable: true, now: now)
        _ = pool.released(2, isReusable: true, now: now + .seconds(5))
        #expect(pool.expire(idleSince: now + .seconds(1)) == [1])
        #expect(pool.shed() == 2)
        #expect(pool.shed() == nil)
    }

    @Test func `a shut down pool gives nothing and closes what comes back`() {
        var pool = PoolStateMachine(maximumConnections: 2, maximumWaiters: 9)
        _ = pool.lease(1)
        _ = pool.connected(1, now: now)
        _ = pool.lease(2)
        let decision = pool.shutDown()
        #expect(decision.close == [])
        #expect(decision.fail == [2])
        #expect(pool.lease(3) == .rejectClosed)
        #expect(pool.released(1, isReusable: true, now: now).action == .close(1))
        #expect(pool.connected(2, now: now).action == .close(2))
    }

    @Test func `a connection lost while idle is not given away`() {
        var pool = PoolStateMachine(maximumConnections: 1, maximumWaiters: 9)
        _ = pool.lease(1)
        _ = pool.connected(1, now: now)
        _ = pool.released(1, isReusable: true, now: now)
        let isLeased = pool.lost(1)
        #expect(!isLeased)
        #expect(pool.lease(2) == .wait(open: 2))
    }
}
