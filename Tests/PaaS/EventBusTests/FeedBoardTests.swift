import CloudModel
import Testing

@testable import EventBus

@Suite struct FeedBoardTests {
    private let start = ContinuousClock.now

    private func tenant(_ name: String = "h1") throws -> TenantID {
        try #require(TenantID(name))
    }

    private func board() -> FeedBoard {
        FeedBoard(sweep: .seconds(60), pauses: RetryPolicy())
    }

    @Test func `a write claims a free lease once`() throws {
        var board = board()
        let tenant = try tenant()
        #expect(board.committed(tenant, now: start) == .claim(tenant))
        #expect(board.committed(tenant, now: start) == nil)
    }

    @Test func `a write wakes a feed that we hold`() throws {
        var board = board()
        let tenant = try tenant()
        _ = board.committed(tenant, now: start)
        board.won(tenant, now: start)
        #expect(board.held == [tenant])
        #expect(board.committed(tenant, now: start) == .wake(tenant))
    }

    @Test func `a write tells the other holder until its lease may be over`() throws {
        var board = board()
        let tenant = try tenant()
        _ = board.committed(tenant, now: start)
        #expect(board.lost(tenant, until: start + .seconds(3), now: start) == nil)
        #expect(board.committed(tenant, now: start + .seconds(1)) == .tell(tenant))
        #expect(board.notified(tenant, now: start + .seconds(1)) == nil)
        #expect(board.committed(tenant, now: start + .seconds(3)) == .claim(tenant))
    }

    @Test func `a write during the claim is told to whoever won`() throws {
        var board = board()
        let tenant = try tenant()
        _ = board.committed(tenant, now: start)
        _ = board.committed(tenant, now: start)
        #expect(board.lost(tenant, until: start + .seconds(3), now: start) == .tell(tenant))
    }

    @Test func `a write between the last look and the end of a lease claims it again`() throws {
        var board = board()
        let tenant = try tenant()
        _ = board.committed(tenant, now: start)
        board.won(tenant, now: start)
        board.looks(tenant)
        #expect(board.notified(tenant, now: start) == .wake(tenant))
        #expect(board.ended(tenant, failed: false, now: start) == .claim(tenant))
        board.won(tenant, now: start)
        _ = board.committed(tenant, now: start)
        board.looks(tenant)
        #expect(board.ended(tenant, failed: false, now: start) == nil)
        #expect(board.notified(tenant, now: start) == .claim(tenant))
    }

    @Test func `pauses after failures grow, and writes do not shorten them`() throws {
        var board = board()
        let tenant = try tenant()
        _ = board.committed(tenant, now: start)
        #expect(board.ended(tenant, failed: true, now: start) == nil)
        #expect(board.committed(tenant, now: start) == nil)
        #expect(board.due(now: start + .milliseconds(999)) == [])
        #expect(board.due(now: start + .seconds(1)) == [.claim(tenant)])
        _ = board.ended(tenant, failed: true, now: start)
        #expect(board.due(now: start + .milliseconds(1999)) == [])
        #expect(board.committed(tenant, now: start + .seconds(2)) == .claim(tenant))
        _ = board.ended(tenant, failed: false, now: start)
        #expect(board.committed(tenant, now: start) == .claim(tenant))
    }

    @Test func `a new tenant is looked at now, and each again after a while`() throws {
        var board = board()
        let tenant = try tenant()
        board.list([tenant], now: start)
        #expect(board.due(now: start) == [.claim(tenant)])
        #expect(board.due(now: start) == [])
        _ = board.ended(tenant, failed: false, now: start)
        #expect(board.due(now: start + .seconds(59)) == [])
        #expect(board.due(now: start + .seconds(60)) == [.claim(tenant)])
        _ = board.ended(tenant, failed: false, now: start)
        board.doubt(now: start)
        #expect(board.due(now: start) == [.claim(tenant)])
    }

    @Test func `tenants that are gone are forgotten`() throws {
        var board = board()
        let (gone, held) = (try tenant("gone"), try tenant("held"))
        board.list([gone, held], now: start)
        _ = board.committed(held, now: start)
        board.won(held, now: start)
        board.list([], now: start)
        #expect(board.due(now: start + .seconds(100)) == [])
        #expect(board.held == [held])
    }
}
