import Foundation

/// What libvirt has found out about QEMU, which takes it ten seconds of a core: kept for all regions of this machine, so that
/// only the first pays. libvirt itself checks whether an entry still fits QEMU and the kernel. Whatever fails here costs time
/// only, so no error is reported.
enum CapabilityCache {
    private static let own = "/var/cache/libvirt/qemu/capabilities"
    private static let shared = "/var/cache/medcloud/hypervisor"

    /// To be called before libvirtd starts.
    static func load() {
        guard names(in: own).isEmpty else { return }
        try? FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
        for name in names(in: shared) { copy(from: "\(shared)/\(name)", to: "\(own)/\(name)") }
    }

    /// To be called when libvirt knows what there is to know.
    static func save() {
        try? FileManager.default.createDirectory(atPath: shared, withIntermediateDirectories: true)
        for name in names(in: own) { copy(from: "\(own)/\(name)", to: "\(shared)/\(name)") }
    }

    private static func names(in directory: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).filter { $0.hasSuffix(".xml") }
    }

    /// Without a moment in which the file is half there.
    private static func copy(from source: String, to target: String) {
        guard let content = try? Data(contentsOf: URL(filePath: source)) else { return }
        try? content.write(to: URL(filePath: target), options: .atomic)
    }
}
