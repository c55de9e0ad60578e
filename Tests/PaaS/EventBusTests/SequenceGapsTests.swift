import Testing

@testable import EventBus

@Suite struct SequenceGapsTests {
    @Test func `changes without a hole are handed out at once, whoever runs`() {
        let gaps = SequenceGaps(position: 4)
        #expect(gaps.look(at: [5, 6, 7], oldestRunning: 1) == .init(ready: 3, needsBarrier: false))
        #expect(gaps.look(at: [], oldestRunning: 1) == .init(ready: 0, needsBarrier: false))
    }

    @Test func `nothing beyond a hole is handed out`() {
        let gaps = SequenceGaps(position: 4)
        #expect(gaps.look(at: [5, 7, 8], oldestRunning: 1000) == .init(ready: 1, needsBarrier: true))
        #expect(gaps.look(at: [6], oldestRunning: 1000) == .init(ready: 0, needsBarrier: true))
    }

    @Test func `a hole that is filled is none`() {
        var gaps = SequenceGaps(position: 4)
        gaps.setBarrier(100, below: 7)
        #expect(gaps.look(at: [5, 6, 7], oldestRunning: 90) == .init(ready: 3, needsBarrier: false))
    }

    @Test func `a hole is for good when nobody below the barrier runs any more`() {
        var gaps = SequenceGaps(position: 4)
        gaps.setBarrier(100, below: 7)
        #expect(gaps.look(at: [5, 7], oldestRunning: 99) == .init(ready: 1, needsBarrier: false))
        #expect(gaps.look(at: [5, 7], oldestRunning: 100) == .init(ready: 2, needsBarrier: false))
    }

    @Test func `a barrier covers only holes that were there when it was set`() {
        var gaps = SequenceGaps(position: 4)
        gaps.setBarrier(100, below: 7)
        #expect(gaps.look(at: [5, 7, 9], oldestRunning: 100) == .init(ready: 2, needsBarrier: true))
        gaps.advance(to: 7)
        #expect(gaps.look(at: [9], oldestRunning: 100) == .init(ready: 0, needsBarrier: true))
        gaps.setBarrier(120, below: 9)
        #expect(gaps.look(at: [9], oldestRunning: 119) == .init(ready: 0, needsBarrier: false))
        #expect(gaps.look(at: [9], oldestRunning: 120) == .init(ready: 1, needsBarrier: false))
    }
}
