import Synchronization

/// Every metric of the process, rendered in the Prometheus text format 0.0.4.
///
/// Asking for a series takes a lock; keep the series and use it without one. Labels hold route patterns, status classes
/// and tenant names, never paths, ids or other data of a request.
package final class MetricsRegistry: Sendable {
    /// Labels in the order in which they are written.
    package typealias Labels = [(name: String, value: String)]

    private enum Series: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)

        var typeName: String {
            switch self {
            case .counter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        }
    }

    private struct Family: Sendable {
        let help: String
        let typeName: String
        /// By rendered labels.
        var series: [String: Series] = [:]
    }

    private struct State: Sendable {
        var families: [String: Family] = [:]
        var seriesCount = 0
        var collectors: [@Sendable (MetricsRegistry) -> Void] = []
    }

    /// More series than this are not registered: what is beyond counts into nothing instead of eating memory.
    package static let maximumSeries = 20_000

    private let state = Mutex(State())

    package init() {}

    package func counter(_ name: String, help: String, labels: Labels = []) -> Counter {
        let series = register(name, help: help, labels: labels) { .counter(Counter()) }
        if case .counter(let counter) = series { return counter }
        return Counter()
    }

    package func gauge(_ name: String, help: String, labels: Labels = []) -> Gauge {
        let series = register(name, help: help, labels: labels) { .gauge(Gauge()) }
        if case .gauge(let gauge) = series { return gauge }
        return Gauge()
    }

    package func histogram(_ name: String, help: String, labels: Labels = []) -> Histogram {
        let series = register(name, help: help, labels: labels) { .histogram(Histogram()) }
        if case .histogram(let histogram) = series { return histogram }
        return Histogram()
    }

    /// Runs before each rendering, to set gauges from what is only worth reading then.
    package func addCollector(_ collector: @escaping @Sendable (MetricsRegistry) -> Void) {
        state.withLock { $0.collectors.append(collector) }
    }

    private func register(
        _ name: String, help: String, labels: Labels, make: () -> Series
    ) -> Series {
        let key = Self.rendered(labels)
        return state.withLock { state in
            if let series = state.families[name]?.series[key] { return series }
            let series = make()
            guard state.seriesCount < Self.maximumSeries else { return series }
            var family = state.families[name] ?? Family(help: help, typeName: series.typeName)
            guard family.typeName == series.typeName else { return series }
            family.series[key] = series
            state.families[name] = family
            state.seriesCount += 1
            return series
        }
    }

    /// The whole text, families and series in a stable order.
    package func render() -> [UInt8] {
        for collect in state.withLock({ $0.collectors }) { collect(self) }
        let families = state.withLock { $0.families }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) \(Self.escapedHelp(family.help))\n# TYPE \(name) \(family.typeName)\n"
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                switch series {
                case .counter(let counter): text += "\(name)\(Self.braced(labels)) \(counter.current)\n"
                case .gauge(let gauge): text += "\(name)\(Self.braced(labels)) \(gauge.current)\n"
                case .histogram(let histogram): text += Self.rendered(histogram, name: name, labels: labels)
                }
            }
        }
        return Array(text.utf8)
    }

    private static func rendered(_ histogram: Histogram, name: String, labels: String) -> String {
        let (cumulative, sum) = histogram.reading
        let prefix = labels.isEmpty ? "" : labels + ","
        var text = ""
        for (index, count) in cumulative.enumerated() {
            let isLast = index == Histogram.boundsMicroseconds.count
            let bound = isLast ? "+Inf" : seconds(nanoseconds: UInt64(Histogram.boundsMicroseconds[index]) * 1000)
            text += "\(name)_bucket{\(prefix)le=\"\(bound)\"} \(count)\n"
        }
        text += "\(name)_sum\(braced(labels)) \(seconds(nanoseconds: sum))\n"
        text += "\(name)_count\(braced(labels)) \(cumulative.last ?? 0)\n"
        return text
    }

    private static func seconds(nanoseconds: UInt64) -> String {
        String(Double(nanoseconds) / 1_000_000_000)
    }

    private static func braced(_ labels: String) -> String {
        labels.isEmpty ? "" : "{" + labels + "}"
    }

    private static func rendered(_ labels: Labels) -> String {
        labels.map { $0.name + "=\"" + escaped($0.value) + "\"" }.joined(separator: ",")
    }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": text += #"\\"#
            case "\"": text += #"\""#
            case "\n": text += #"\n"#
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }

    private static func escapedHelp(_ help: String) -> String {
        help.split(separator: "\n").joined(separator: " ")
    }
}
