import Virtualization

/// Whether a machine serves: it has its address, and its probe answers there.
struct Readiness: Sendable {
    let driver: any VirtualizationDriver

    /// How long one look may take.
    static let timeout: Duration = .seconds(2)

    /// Why it is not ready now; nil when it is.
    func reason(_ instance: AskedInstance) async throws -> String? {
        let address = instance.specification.address
        if try await driver.probe(instance.probe, address: address, timeout: Self.timeout) { return nil }
        let waited = instance.runningFor ?? .zero
        guard waited < instance.probeDeadline else {
            return
                "\(instance.probe.words) at \(address) has not answered within \(instance.probeDeadline.components.seconds) s"
        }
        return "\(instance.probe.words) at \(address) does not answer yet"
    }
}
