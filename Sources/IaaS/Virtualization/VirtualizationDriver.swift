/// A hypervisor. Every call may be repeated and finds its own effect: making what is there, in the same shape, and removing
/// what is gone succeed. Nothing that does not carry a ``ResourceName`` is ever changed.
///
/// Calls never block the cooperative pool, and each ends within the driver's deadline.
package protocol VirtualizationDriver: Sendable {
    func host() async throws(VirtualizationError) -> HostDescription
    func images() async throws(VirtualizationError) -> [BaseImage]
    func inventory() async throws(VirtualizationError) -> HostInventory

    /// Makes the network and starts it, with DHCP and, for each instance, a reservation.
    func ensureNetwork(_ network: NetworkSpecification) async throws(VirtualizationError)
    func removeNetwork(_ name: ResourceName) async throws(VirtualizationError)

    /// The overlay on the base image. The base image is never written.
    func createDisk(_ instance: InstanceSpecification) async throws(VirtualizationError)
    /// Makes the overlay as large as the specification says, while the machine is off. A disk never shrinks.
    func growDisk(_ instance: InstanceSpecification) async throws(VirtualizationError)
    /// The NoCloud seed: meta-data, user-data.
    func createSeed(_ instance: InstanceSpecification) async throws(VirtualizationError)
    /// Disk and seed of an instance.
    func removeVolumes(of name: ResourceName) async throws(VirtualizationError)

    /// Defines the domain, shut off, and reserves its address; redefines it when it is there in another shape.
    func define(_ instance: InstanceSpecification) async throws(VirtualizationError)
    func start(_ name: ResourceName) async throws(VirtualizationError)
    /// Asks the guest to power off. Returns at once; the domain may go on for a while, or not listen.
    func requestShutdown(_ name: ResourceName) async throws(VirtualizationError)
    /// Pulls the plug.
    func powerOff(_ name: ResourceName) async throws(VirtualizationError)
    func reboot(_ name: ResourceName) async throws(VirtualizationError)
    /// Removes the domain, its address reservation and its console log, each also when the others are not there; pulls the plug
    /// first when it runs.
    func undefine(_ instance: InstanceSpecification) async throws(VirtualizationError)

    func state(of name: ResourceName) async throws(VirtualizationError) -> DomainState?
    /// Tries the probe once, from where the instance's network can be reached; false when there is no good answer in time.
    func probe(_ probe: ReadinessProbe, address: String, timeout: Duration) async throws(VirtualizationError) -> Bool
    /// What the guest wrote to its first serial port, from `offset` in bytes, at most `limit` bytes.
    func consoleLog(of name: ResourceName, from offset: Int64, limit: Int) async throws(VirtualizationError) -> [UInt8]

    /// Lifecycle events from now on; ends when the connection is closed for good. Events may be missed while the hypervisor
    /// is away, so listeners also look from time to time.
    var events: AsyncStream<InstanceEvent> { get }
}
