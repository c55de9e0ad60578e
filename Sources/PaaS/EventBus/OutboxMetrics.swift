import CloudModel
package import CloudTelemetry

/// What an operator watches of a consumer. A scrape reads one worker, which knows the feeds that it holds.
package struct OutboxMetrics: Sendable {
    private let registry: MetricsRegistry
    private let labels: MetricsRegistry.Labels
    let delivered: Counter
    let refused: Counter
    let delay: Histogram
    let leases: Gauge

    package init(registry: MetricsRegistry, worker: String, consumer: String) {
        self.registry = registry
        labels = [("worker", worker), ("consumer", consumer)]
        delivered = registry.counter(
            "medcloud_outbox_delivered_total", help: "Changes that the consumer has taken in.", labels: labels)
        refused = registry.counter(
            "medcloud_outbox_refused_total", help: "Tries that the consumer refused.", labels: labels)
        delay = registry.histogram(
            "medcloud_outbox_delay_seconds", help: "From the write of a change to its effect.", labels: labels)
        leases = registry.gauge(
            "medcloud_outbox_leases", help: "Tenants whose changes this worker hands out.", labels: labels)
    }

    /// The gauges of one tenant: the age of its oldest change that is not handed out, and its parked changes.
    func gauges(_ tenant: TenantID) -> (lag: Gauge, parked: Gauge) {
        let labels = labels + [("tenant", tenant.rawValue)]
        return (
            registry.gauge(
                "medcloud_outbox_lag_milliseconds",
                help: "Age of the oldest change that the consumer has not taken in; 0 when there is none.",
                labels: labels),
            registry.gauge(
                "medcloud_outbox_parked", help: "Changes that wait for an operator; see GET /v1/feeds.", labels: labels)
        )
    }
}
