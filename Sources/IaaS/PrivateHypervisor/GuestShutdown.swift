package import Logging
package import Virtualization

/// Asks every guest to power off, and pulls the plug of those that do not within the grace.
package struct GuestShutdown: Sendable {
    let driver: any VirtualizationDriver
    let grace: Duration
    let logger: Logger

    package init(driver: any VirtualizationDriver, grace: Duration, logger: Logger) {
        self.driver = driver
        self.grace = grace
        self.logger = logger
    }

    package func run() async {
        do throws(VirtualizationError) {
            try await stop(by: ContinuousClock.now + grace)
        } catch {
            logger.error("guests cannot be stopped in order", metadata: ["error": "\(error)"])
        }
    }

    private func stop(by end: ContinuousClock.Instant) async throws(VirtualizationError) {
        let running = try await running(by: end)
        guard !running.isEmpty else { return }
        logger.info("stopping guests", metadata: ["count": "\(running.count)"])
        for name in running { await attempt(name, "power off", by: end, driver.requestShutdown) }
        while ContinuousClock.now < end {
            if try await self.running(by: end).isEmpty { return }
            try? await Task.sleep(for: .milliseconds(200))
        }
        for name in try await self.running(by: end + .seconds(5)) {
            logger.notice("a guest did not power off in time", metadata: ["domain": "\(name)"])
            await attempt(name, "plug pulled", by: end + .seconds(5), driver.powerOff)
        }
    }

    /// One guest that cannot be reached is no reason to leave the others.
    private func attempt(
        _ name: ResourceName, _ wish: String, by end: ContinuousClock.Instant,
        _ action: (ResourceName) async throws(VirtualizationError) -> Void
    ) async {
        do throws(VirtualizationError) {
            try await patiently(by: end) { () async throws(VirtualizationError) in try await action(name) }
        } catch let error where error.code != .notFound {
            logger.warning(
                "a guest does not obey", metadata: ["domain": "\(name)", "wish": "\(wish)", "error": "\(error)"])
        } catch {
            // It has ended by itself.
        }
    }

    private func running(by end: ContinuousClock.Instant) async throws(VirtualizationError) -> [ResourceName] {
        try await patiently(by: end) { () async throws(VirtualizationError) in
            try await driver.inventory().instances.filter { $0.state != .shutOff && $0.state != .crashed }.map(\.name)
        }
    }

    /// Asks again until `end` when the hypervisor does not answer: it is started again while the guests go on.
    private func patiently<Result>(
        by end: ContinuousClock.Instant, _ ask: () async throws(VirtualizationError) -> Result
    ) async throws(VirtualizationError) -> Result {
        while true {
            do throws(VirtualizationError) {
                return try await ask()
            } catch {
                guard error.isTransient, ContinuousClock.now < end else { throw error }
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
    }
}
