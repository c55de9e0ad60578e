package import CloudTelemetry
import Synchronization

/// The gateway's own metrics. Labels are route patterns and status classes: no path, no id, no patient.
package final class GatewayMetrics: Sendable {
    /// What is counted for one route: requests by status class, and their durations.
    final class RouteMetrics: Sendable {
        private let byClass: [Counter]
        private let duration: Histogram

        init(registry: MetricsRegistry, worker: String, method: String, pattern: String) {
            byClass = (1...5).map { status in
                registry.counter(
                    "medcloud_http_requests_total", help: "Requests answered, by route pattern and status class.",
                    labels: [
                        ("worker", worker), ("method", method), ("route", pattern), ("status", "\(status)xx"),
                    ])
            }
            duration = registry.histogram(
                "medcloud_http_request_duration_seconds", help: "From the end of the head to the answer.",
                labels: [("worker", worker), ("method", method), ("route", pattern)])
        }

        func record(status: Int, nanoseconds: Int64) {
            byClass[max(0, min(4, status / 100 - 1))].increment()
            duration.observe(nanoseconds: nanoseconds)
        }
    }

    package let registry: MetricsRegistry
    package let connections: Gauge
    let connectionsTotal: Counter
    let hotReads: Counter
    let parseErrors: Counter
    let timeouts: Counter
    private let worker: String
    private let routes = Mutex<[String: RouteMetrics]>([:])

    /// - Parameter worker: the worker's index, a label of every series: a scrape reads one worker.
    package init(registry: MetricsRegistry, worker: String) {
        self.registry = registry
        self.worker = worker
        let labels = [(name: "worker", value: worker)]
        connections = registry.gauge("medcloud_connections", help: "Open client connections.", labels: labels)
        connectionsTotal = registry.counter(
            "medcloud_connections_total", help: "Client connections accepted.", labels: labels)
        hotReads = registry.counter(
            "medcloud_hot_reads_total", help: "Reads answered on the event loop.", labels: labels)
        parseErrors = registry.counter(
            "medcloud_http_parse_errors_total", help: "Requests that were not HTTP or broke a limit of the head.",
            labels: labels)
        timeouts = registry.counter(
            "medcloud_connection_timeouts_total", help: "Connections cut because the client was too slow.",
            labels: labels)
    }

    /// The metrics of a route; `pattern` must not hold anything of a request.
    func route(method: String, pattern: String) -> RouteMetrics {
        let known = Self.methods.contains(method) ? method : "OTHER"
        return routes.withLock { routes in
            let key = known + " " + pattern
            if let metrics = routes[key] { return metrics }
            let metrics = RouteMetrics(registry: registry, worker: worker, method: known, pattern: pattern)
            routes[key] = metrics
            return metrics
        }
    }

    private static let methods: Set<String> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
}
