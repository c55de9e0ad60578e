import Foundation
import Glibc

/// Debian 12 for instances: made by debootstrap and apt, made an instance's own by cloud-init from its NoCloud seed, reached
/// by SSH with the seed's keys as the user `debian`. The file system fills the disk and grows with it.
struct DebianSystem {
    /// Raised whenever what is below changes.
    static let revision = 2
    static let disk: Int64 = 2 << 30
    static let memory: Int64 = 384 << 20

    let workshop: ImageWorkshop

    private var root: String { workshop.folder + "/root" }

    private static let packages = [
        "cloud-init", "dbus", "iproute2", "kmod", "openssh-server", "sudo", "systemd-sysv", "udev",
    ]

    /// Timers that fetch from where guests have no way to, or look after what an image does not have; logins at a console that
    /// nobody sits at, for users that have no password.
    private static let masked = [
        "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
        "e2scrub_reap.service", "fstrim.timer", "getty@tty1.service", "serial-getty@ttyS0.service",
    ]

    func build() throws -> ImageRecipe.Parts {
        guard access("/usr/sbin/debootstrap", X_OK) == 0 else {
            throw CommandFailure(.refused, "debootstrap is not there: run `apt-get install debootstrap`.")
        }
        guard geteuid() == 0 else { throw CommandFailure(.refused, "Only root can build a Debian image.") }
        let sources = try DebianSources.ofThisMachine()
        let kernel = try KernelPackage.newest()
        workshop.progress.step("downloading \(kernel.name)")
        try kernel.unpack(in: workshop)
        workshop.progress.step("installing Debian 12 from \(sources.mirror) (minutes)")
        try bootstrap(sources)
        workshop.progress.step("installing cloud-init, SSH and updates")
        try install(sources)
        workshop.progress.step("configuring it")
        try configure(kernel)
        let initial = try initialFileSystem(kernel)
        workshop.progress.step("making its file system")
        let disk = "\(workshop.folder)/disk.raw"
        try FileSystemImage.make(disk, size: Self.disk, content: root, label: "root", in: workshop)
        return ImageRecipe.Parts(
            disk: disk, kernel: kernel.kernelFile(in: workshop.folder), initialFileSystem: initial, capacity: Self.disk,
            memory: Self.memory)
    }

    // MARK: Installation

    /// Namespaces of their own for tools that mount and that leave processes behind: both go with the tool, also when it or
    /// this process is killed.
    private static let isolation = ["--mount", "--pid", "--fork", "--kill-child=KILL"]

    /// The base system only. debootstrap does not know packages that others provide (python3-cryptography, which cloud-init
    /// needs, depends on such), so the rest is for apt.
    private func bootstrap(_ sources: DebianSources) throws {
        do {
            try workshop.run(
                "/usr/bin/unshare",
                Self.isolation + [
                    "/usr/sbin/debootstrap", "--variant=minbase", "--include=ca-certificates", DebianSources.release,
                    root, sources.mirror,
                ], named: "debootstrap", environment: sources.environment
            ) { line in
                // "I: Configuring apt..."
                line.hasPrefix("I: ") ? String(line.dropFirst(3)).replacing("...", with: "") : nil
            }
        } catch let failure as CommandFailure {
            // Into the log goes also what the tools inside of it said.
            try? workshop.run("/bin/cat", ["\(root)/debootstrap/debootstrap.log"])
            throw failure
        }
    }

    private func install(_ sources: DebianSources) throws {
        try write(
            [
                ("etc/apt/sources.list", sources.lines.joined(separator: "\n") + "\n"),
                // No service is to be started in here.
                ("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n"),
            ])
        guard chmod("\(root)/usr/sbin/policy-rc.d", 0o755) == 0 else {
            throw CommandFailure.system("write policy-rc.d", errno: errno)
        }
        var environment = sources.environment
        environment["DEBIAN_FRONTEND"] = "noninteractive"
        for words in [["update"], ["dist-upgrade"], ["install"] + Self.packages] {
            try inside(
                "/usr/bin/apt-get",
                ["--quiet", "--yes", "--no-install-recommends", "--option", "Dpkg::Use-Pty=0"] + words,
                environment: environment
            ) { line in
                // "Setting up cloud-init (22.4.2-1+deb12u3) ..."
                ["Unpacking ", "Setting up "].contains(where: line.hasPrefix)
                    ? line.split(separator: " (").first.map(String.init) : nil
            }
        }
    }

    /// Runs a program of the new system in it, with a `/proc` that goes with the program.
    private func inside(
        _ path: String, _ arguments: [String], environment: [String: String] = [:],
        showing: (String) -> String? = { _ in nil }
    ) throws {
        try workshop.run(
            "/usr/bin/unshare", Self.isolation + ["--root=\(root)", "--mount-proc", path] + arguments,
            named: ImageWorkshop.name(path), environment: environment, showing: showing)
    }

    // MARK: Configuration

    private func configure(_ kernel: KernelPackage) throws {
        try workshop.run("/bin/mkdir", ["-p", "\(root)/usr/lib/modules", "\(root)/etc/systemd/network"])
        try workshop.run(
            "/bin/cp",
            ["-a", "\(workshop.folder)/kernel/lib/modules/\(kernel.release)", "\(root)/usr/lib/modules/"])
        try inside("/sbin/depmod", [kernel.release])
        try inside("/bin/systemctl", ["enable", "systemd-networkd", "ssh"])
        try inside("/bin/systemctl", ["mask"] + Self.masked)
        try inside("/usr/bin/apt-get", ["clean"])
        try write(Self.files)
        // What belongs to this machine, to the installation, or to each instance alone.
        let ofHosts = (StateDirectory.names(in: "\(root)/etc/ssh") ?? []).filter { $0.hasPrefix("ssh_host_") }
        try workshop.run(
            "/bin/rm",
            ["-rf", "--one-file-system", "--", "\(root)/usr/sbin/policy-rc.d", "\(root)/var/lib/apt/lists"]
                + ofHosts.map { "\(root)/etc/ssh/\($0)" }
                + ["apt", "bootstrap.log", "dpkg.log", "alternatives.log"].map { "\(root)/var/log/\($0)" })
    }

    private static let files: [(path: String, text: String)] = [
        ("etc/fstab", "/dev/vda / ext4 errors=remount-ro 0 1\n"),
        ("etc/hostname", "debian\n"),
        // Each instance makes its own.
        ("etc/machine-id", ""),
        ("etc/resolv.conf", ""),
        // As cloud-init would write it and start SSH again, in the middle of the first logins.
        ("etc/ssh/sshd_config.d/50-cloud-init.conf", "PasswordAuthentication no\n"),
        ("etc/systemd/network/10-dhcp.network", "[Match]\nName=e*\n\n[Network]\nDHCP=ipv4\n"),
        (
            "etc/cloud/cloud.cfg.d/90_medcloud.cfg",
            """
            # Written by medcloud when the image was built.
            datasource_list: [NoCloud]
            network: {config: disabled}
            growpart: {mode: "off"}
            resize_rootfs: true
            manage_etc_hosts: true
            apt: {preserve_sources_list: true}
            # A seed that changed is another instance to cloud-init: the machine stays who it is, and the seed's keys take
            # the place of those before. Keys that people add belong into authorized_keys2.
            ssh_deletekeys: false
            ssh_genkeytypes: [ed25519, ecdsa]
            bootcmd:
              - [cloud-init-per, instance, forget-keys, rm, -f, /home/debian/.ssh/authorized_keys, /root/.ssh/authorized_keys]

            """
        ),
    ]

    private func write(_ files: [(path: String, text: String)]) throws {
        for file in files { try DurableFile.write(file.text, to: "\(root)/\(file.path)", mode: 0o644) }
    }

    /// Finds the disk and hands over to it. Debian's own would load every driver there is, which takes longer than the rest of
    /// the start on a host without KVM.
    private func initialFileSystem(_ kernel: KernelPackage) throws -> String {
        var files = InitialFileSystem()
        for directory in ["bin", "dev", "modules", "proc", "root", "sys"] { files.directory(directory) }
        files.file(
            "bin/busybox",
            try DurableFile.read(access("/bin/busybox", R_OK) == 0 ? "/bin/busybox" : "/usr/bin/busybox"),
            executable: true)
        for applet in ["sh", "insmod", "mount", "switch_root", "usleep"] { files.link("bin/\(applet)", to: "busybox") }
        files.file(
            "init",
            """
            #!/bin/busybox sh
            export PATH=/bin
            mount -t devtmpfs none /dev
            mount -t proc none /proc
            mount -t sysfs none /sys
            for module in /modules/*; do insmod "$module"; done
            tries=0
            until mount -t ext4 -o ro /dev/vda /root 2>/dev/null || [ "$tries" -ge 100 ]; do
                tries=$((tries + 1))
                usleep 100000
            done
            mount -o move /dev /root/dev
            mount -o move /proc /root/proc
            mount -o move /sys /root/sys
            exec switch_root /root /sbin/init

            """, executable: true)
        let modules = try kernel.modules(["virtio_pci", "virtio_blk"], in: workshop.folder)
        for (index, module) in modules.enumerated() {
            files.file("modules/\(100 + index)-\(module.name).ko", module.content)
        }
        files.end()
        let path = "\(workshop.folder)/initrd"
        try DurableFile.write(files.bytes, to: path, mode: 0o444)
        return path
    }
}
