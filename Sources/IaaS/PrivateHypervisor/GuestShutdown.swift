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
        let end = ContinuousClock.now + grace
        guard let running = try? await running(), !running.isEmpty else { return }
        logger.info("stopping guests", metadata: ["count": "\(running.count)"])
        for name in running { try? await driver.requestShutdown(name) }
        while ContinuousClock.now < end {
            guard let left = try? await self.running() else { return }
            if left.isEmpty { return }
            try? await Task.sleep(for: .milliseconds(200))
        }
        for name in (try? await self.running()) ?? [] {
            logger.notice("a guest did not power off in time", metadata: ["domain": "\(name)"])
            try? await driver.powerOff(name)
        }
    }

    private func running() async throws(VirtualizationError) -> [ResourceName] {
        try await driver.inventory().instances.filter { $0.state != .shutOff && $0.state != .crashed }.map(\.name)
    }
}
