import Synchronization
import Virtualization

/// What libvirt's test driver lacks and ``LibvirtDriver`` stands in for.
final class Simulation: Sendable {
    static let image = BaseImage(
        name: "probe", disk: 16 << 20, memory: 80 << 20, sha256: String(repeating: "0", count: 64))
    static let imageVolume = "probe-simulated.qcow2"

    private let owners = Mutex<[String: ResourceName]>([:])

    /// Puts the one image into the pool.
    static func prepare(_ connection: LibvirtConnection) throws(VirtualizationError) {
        try unsafe connection.withPool(LibvirtStorage.imagePool) { pool throws(VirtualizationError) in
            // Connections to test:///default in one process share their state.
            if try unsafe connection.withVolume(imageVolume, in: pool, { _ in true }) != nil { return }
            try unsafe connection.createVolume(StorageXML.raw(name: imageVolume, capacity: image.disk), in: pool)
        }
    }

    /// Remembers whose address it is.
    func define(_ instance: InstanceSpecification) {
        owners.withLock { owners in
            owners = owners.filter { $0.value != instance.name }
            owners[instance.address] = instance.name
        }
    }

    func undefine(_ name: ResourceName) {
        owners.withLock { owners in owners = owners.filter { $0.value != name } }
    }

    func owner(of address: String) -> ResourceName? { owners.withLock { $0[address] } }
}
