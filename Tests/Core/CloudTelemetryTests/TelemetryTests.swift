import Logging
import Synchronization
import Testing

@testable import CloudTelemetry

@Suite struct JSONLogHandlerTests {
    private final class Lines: Sendable {
        private let all = Mutex<[String]>([])
        var text: [String] { all.withLock { $0 } }
        func append(_ line: [UInt8]) { all.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
    }

    private func logger(_ lines: Lines) -> Logger {
        Logger(label: "test") { JSONLogHandler(label: $0, sink: { line in lines.append(line) }) }
    }

    @Test func `an event is one line of JSON`() throws {
        let lines = Lines()
        logger(lines).info("made\nit", metadata: ["tenant.id": "h1", "ids": ["a", "b"], "level": "mine"])
        let line = try #require(lines.text.first)
        #expect(line.hasSuffix("}\n") && line.count { $0 == "\n" } == 1)
        #expect(line.contains(#""level":"info","message":"made\nit","logger":"test""#))
        #expect(line.contains(#""ids":["a","b"]"#) && line.contains(#""tenant.id":"h1""#))
        #expect(line.contains(#""metadata.level":"mine""#))
    }

    @Test func `what could identify a patient is redacted`() throws {
        let lines = Lines()
        logger(lines).warning(
            "looked up", metadata: ["name": .sensitive("Wang Xiaoming"), "token": .sensitive("abc", .secret)])
        let line = try #require(lines.text.first)
        #expect(!line.contains("Wang") && !line.contains("abc"))
        #expect(line.contains(#""name":"[redacted]""#))
    }

    @Test func `a line cannot be broken by its values`() throws {
        let lines = Lines()
        logger(lines).info("x", metadata: ["k": "\u{0}\u{2028}\"\\"])
        let line = try #require(lines.text.first)
        #expect(line.contains(#"\u0000\u2028\"\\"#))
    }

    @Test func `quiet levels are not written`() {
        let lines = Lines()
        logger(lines).debug("nothing")
        #expect(lines.text.isEmpty)
    }

    @Test func `timestamps are RFC 3339`() {
        #expect(Timestamp.format(seconds: 951_782_400, milliseconds: 7) == "2000-02-29T00:00:00.007Z")
    }
}

@Suite struct MetricsRegistryTests {
    @Test func `series are rendered in the text format`() {
        let registry = MetricsRegistry()
        registry.counter("c_total", help: "Counts.", labels: [("route", "/a\"b\\c")]).increment(by: 3)
        registry.gauge("g", help: "Moves.").set(-2)
        let text = String(decoding: registry.render(), as: UTF8.self)
        #expect(
            text == "# HELP c_total Counts.\n# TYPE c_total counter\nc_total{route=\"/a\\\"b\\\\c\"} 3\n"
                + "# HELP g Moves.\n# TYPE g gauge\ng -2\n")
    }

    @Test func `a series is the same whenever it is asked for`() {
        let registry = MetricsRegistry()
        registry.counter("c", help: "x").increment()
        registry.counter("c", help: "x").increment()
        #expect(registry.counter("c", help: "x").current == 2)
    }

    @Test func `buckets are cumulative and the last one is the count`() {
        let histogram = Histogram()
        for nanoseconds: Int64 in [100_000, 250_000, 3_000_000, 60_000_000_000] {
            histogram.observe(nanoseconds: nanoseconds)
        }
        let reading = histogram.reading
        #expect(reading.cumulative.first == 2)
        #expect(reading.cumulative.last == 4)
        #expect(reading.sumNanoseconds == 60_003_350_000)
        #expect(reading.cumulative == reading.cumulative.sorted())
    }

    @Test func `counting from many tasks loses nothing`() async {
        let counter = Counter()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<10_000 { counter.increment() } } }
        }
        #expect(counter.current == 80_000)
    }

    @Test func `the process knows its own size`() throws {
        let registry = MetricsRegistry()
        ProcessMetrics.register(in: registry)
        let text = String(decoding: registry.render(), as: UTF8.self)
        #expect(text.contains("process_resident_memory_bytes "))
        #expect(try #require(ProcessMetrics.residentBytes()) > 1 << 20)
        #expect(ProcessMetrics.descriptorLimit() > 0)
    }
}
