import CloudModel
import Foundation

/// The two files that the private libvirtd reads, written at every start.
struct LibvirtConfiguration {
    let options: HypervisorOptions

    /// Whom guests run as: never root. libvirt wants this very user to exist.
    static let guestUser = "libvirt-qemu"

    /// To be called inside the private host.
    func write() throws(HypervisorError) {
        let identity = try hostIdentity()
        try write(daemon(hostIdentity: identity), to: "/etc/libvirt/libvirtd.conf")
        try write(Self.qemu, to: "/etc/libvirt/qemu.conf")
    }

    private func daemon(hostIdentity: String) -> String {
        """
        # Written by medcloud at every start.
        listen_tls = 0
        listen_tcp = 0
        unix_sock_group = "+\(options.socketGroup)"
        unix_sock_ro_perms = "0700"
        unix_sock_rw_perms = "0770"
        auth_unix_ro = "none"
        auth_unix_rw = "none"
        host_uuid = "\(hostIdentity)"
        log_outputs = "3:stderr"
        # There is no D-Bus and no udev here, and nobody to look at network cards.
        log_filters = "4:util.dbus 4:node_device 4:util.netdev 4:util.command"

        """
    }

    private static let qemu = """
        # Written by medcloud at every start.
        user = "\(guestUser)"
        group = "\(guestUser)"
        dynamic_ownership = 1
        remember_owner = 0
        security_driver = "none"
        stdio_handler = "file"
        namespaces = []
        cgroup_controllers = []

        """

    /// Every host of libvirt has its own, kept; made anew where what was kept cannot be read.
    private func hostIdentity() throws(HypervisorError) -> String {
        let file = "/etc/libvirt/medcloud-host-uuid"
        if let known = try? String(contentsOfFile: file, encoding: .utf8), let uuid = UUID(uuidString: known) {
            return uuid.uuidString.lowercased()
        }
        let new = UUID().uuidString.lowercased()
        try write(new, to: file)
        return new
    }

    private func write(_ text: String, to path: String) throws(HypervisorError) {
        do {
            try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw HypervisorError("cannot write \(path)")
        }
    }
}
