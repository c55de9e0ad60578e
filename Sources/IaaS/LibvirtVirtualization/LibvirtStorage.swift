/// Where the hypervisor's host keeps images and the volumes of instances. Paths are the host's own, as its libvirtd sees them.
package struct LibvirtStorage: Sendable, Hashable {
    /// Base images and their manifests; read only.
    package var images: String
    /// Disks, seeds and console logs of instances.
    package var instances: String

    package init(images: String, instances: String) {
        self.images = images
        self.instances = instances
    }

    /// What the private hypervisor of `medcloud up` mounts.
    package static let embedded = LibvirtStorage(
        images: "/var/lib/libvirt/medcloud-images", instances: "/var/lib/libvirt/medcloud-instances")

    static let imagePool = "medcloud-images"
    static let instancePool = "medcloud-instances"
}

/// The volumes of an instance by their use.
enum InstanceVolume: String, CaseIterable {
    case disk = "qcow2"
    case seed = "seed"
    case consoleLog = "log"
}
