import CLinux
import CloudModel
import Foundation
import Glibc

/// What libvirt sees as its host: its directories are the region's, `/run` is empty, the network is one of its own.
///
/// libvirt's places are compiled in, so they are mounted over. They are made where the machine has none, and stay empty
/// outside.
struct PrivateHost {
    let options: HypervisorOptions

    private var state: RegionState { options.state }

    /// Inside its host, the directory of the sockets.
    static let sockets = "/run/libvirt"
    static let images = "/var/lib/libvirt/medcloud-images"
    static let instances = "/var/lib/libvirt/medcloud-instances"

    /// To be called as the first process of new namespaces, before any thread.
    func enter() throws(HypervisorError) {
        try mount(nil, on: "/", flags: UInt(MS_REC | MS_PRIVATE), "keep mounts to ourselves")
        try mount("proc", on: "/proc", type: "proc", flags: 0, "mount /proc")
        try mount("sysfs", on: "/sys", type: "sysfs", flags: 0, "mount /sys")
        let own = state.hypervisorDirectory
        for (name, place, mode) in [
            ("etc", "/etc/libvirt", 0o700), ("lib", "/var/lib/libvirt", 0o711), ("cache", "/var/cache/libvirt", 0o711),
            ("log", "/var/log/libvirt", 0o711),
        ] as [(String, String, mode_t)] {
            try make("\(own)/\(name)", mode: mode)
            try make(place, mode: 0o755)
            try bind("\(own)/\(name)", on: place)
        }
        try make(Self.images, mode: 0o755)
        try make(Self.instances, mode: 0o711)
        try bind(state.instancesDirectory, on: Self.instances)
        // Read only, even for root: disks build on these files, so nothing may ever write them from here.
        try bind(state.imagesDirectory, on: Self.images)
        let readOnly = UInt(MS_BIND | MS_REMOUNT | MS_RDONLY)
        try mount(nil, on: Self.images, flags: readOnly, "protect the images")
        try hideRun()
        try hideUnusableKVM()
        try loopback()
    }

    /// libvirt asks QEMU as root whether there is KVM, and then for the guests' user whether it may be used. When the answers
    /// differ, it asks QEMU again at every call, for seconds; so what guests cannot use is not there.
    private func hideUnusableKVM() throws(HypervisorError) {
        let device = "/dev/kvm"
        guard unsafe access(device, F_OK) == 0 else { return }
        let user = LibvirtConfiguration.guestUser
        let test = try ProgramStart.start(
            "/usr/bin/setpriv",
            ["--reuid", user, "--regid", user, "--init-groups", "/usr/bin/test", "-r", device, "-a", "-w", device])
        var status: Int32 = 0
        guard unsafe waitpid(test, &status, 0) == test, status != 0 else { return }
        let empty = "/run/no-kvm"
        let file = unsafe open(empty, O_WRONLY | O_CREAT | O_CLOEXEC, 0)
        guard file >= 0 else { throw HypervisorError("make \(empty)", errno: errno) }
        close(file)
        try bind(empty, on: device)
    }

    /// An empty `/run`, so that nothing of the machine's own services is found, with our sockets in it. The state directory may
    /// itself lie below `/run`, so it is held open across the mount.
    private func hideRun() throws(HypervisorError) {
        let sockets = unsafe open(state.hypervisorSockets, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard sockets >= 0 else { throw HypervisorError("open \(state.hypervisorSockets)", errno: errno) }
        defer { close(sockets) }
        try mount("tmpfs", on: "/run", type: "tmpfs", flags: 0, "hide /run")
        try make(Self.sockets, mode: 0o755)
        try bind("/proc/self/fd/\(sockets)", on: Self.sockets)
        try forgetLastRun()
    }

    /// As after a start of the machine: libvirt keeps there what runs, and whether it has started what is to be started. Nothing
    /// of the last run lives any more.
    private func forgetLastRun() throws(HypervisorError) {
        let files = FileManager.default
        do {
            for name in try files.contentsOfDirectory(atPath: Self.sockets) {
                try files.removeItem(atPath: Self.sockets + "/" + name)
            }
        } catch {
            throw HypervisorError("cannot empty the hypervisor's run directory: \(error)")
        }
    }

    private func loopback() throws(HypervisorError) {
        guard unsafe sethostname("hypervisor", 10) == 0 else {
            throw HypervisorError("set the host's name", errno: errno)
        }
        let result = unsafe cl_interface_up("lo")
        guard result == 0 else { throw HypervisorError("bring the loopback interface up", errno: result) }
    }

    private func make(_ path: String, mode: mode_t) throws(HypervisorError) {
        guard unsafe mkdir(path, mode) == 0 || errno == EEXIST else {
            throw HypervisorError("make \(path)", errno: errno)
        }
    }

    private func bind(_ source: String, on target: String) throws(HypervisorError) {
        try mount(source, on: target, flags: UInt(MS_BIND), "mount \(source)")
    }

    private func mount(
        _ source: String?, on target: String, type: String? = nil, flags: UInt, _ action: String
    ) throws(HypervisorError) {
        guard unsafe Glibc.mount(source, target, type, flags, nil) == 0 else {
            throw HypervisorError(action, errno: errno)
        }
    }
}
