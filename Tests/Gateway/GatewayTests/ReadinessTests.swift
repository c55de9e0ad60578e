import CloudTelemetry
import Logging
import Synchronization
import Testing

@testable import Gateway

@Suite struct ReadinessTests {
    private struct Unfit: Error, CustomStringConvertible {
        let description: String
    }

    /// A module that can be broken and mended, and the lines of its check's log.
    private final class Bench: Sendable {
        private let failure = Mutex<Unfit?>(nil)
        private let all = Mutex<[String]>([])
        var lines: [String] { all.withLock { $0 } }

        func fail(_ reason: String?) { failure.withLock { $0 = reason.map(Unfit.init(description:)) } }

        func check(_ name: String) -> ReadinessCheck {
            let logger = Logger(label: "test") { label in
                JSONLogHandler(label: label) { line in
                    self.all.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
                }
            }
            return ReadinessCheck(name, logger: logger) {
                if let failure = self.failure.withLock({ $0 }) { throw failure }
                return true
            }
        }
    }

    @Test func `why a check fails is logged once, however often it is probed`() async throws {
        let bench = Bench()
        let check = bench.check("record-sharing")
        bench.fail("no definitions")
        for _ in 0..<5 { #expect(await !check.isWell()) }
        #expect(bench.lines.count == 1)
        let line = try #require(bench.lines.first)
        #expect(line.contains(#""level":"warning""#))
        #expect(line.contains(#""check":"record-sharing""#) && line.contains(#""error":"no definitions""#))
    }

    @Test func `another error and its end are changes, and what was always well is none`() async {
        let bench = Bench()
        let check = bench.check("record-sharing")
        #expect(await check.isWell())
        #expect(bench.lines.isEmpty)
        for reason in ["one", "two", nil] {
            bench.fail(reason)
            for _ in 0..<2 { #expect(await check.isWell() == (reason == nil)) }
        }
        #expect(bench.lines.count == 3)
        #expect(bench.lines.last?.contains(#""level":"notice""#) == true)
    }
}
