import Foundation
import Glibc

/// Debian 12 for instances: made by debootstrap, made an instance's own by cloud-init from its NoCloud seed, reached by SSH
/// with the seed's keys as the user `debian`. The file system fills the disk and grows with it.
struct DebianSystem {
    /// Raised whenever what is below changes.
    static let revision = 1
    static let disk: Int64 = 2 << 30
    static let memory: Int64 = 384 << 20

    let folder: String
    let progress: Progress

    private var root: String { folder + "/root" }

    private static let packages = [
        "cloud-init", "dbus", "iproute2", "kmod", "openssh-server", "sudo", "systemd-sysv", "udev",
    ]

    func build() throws -> ImageRecipe.Parts {
        guard access("/usr/sbin/debootstrap", X_OK) == 0 else {
            throw CommandFailure(.refused, "debootstrap is not there: run `apt-get install debootstrap`.")
        }
        guard geteuid() == 0 else { throw CommandFailure(.refused, "Only root can build a Debian image.") }
        let kernel = try KernelPackage.newest()
        progress.step("downloading \(kernel.name)")
        try kernel.unpack(into: folder)
        progress.step("installing Debian 12 (minutes)")
        // A proxy of this machine is for the tools that download; nothing of it stays in the image.
        let proxies = Environment.current.filter { ["http_proxy", "https_proxy", "no_proxy"].contains($0.key) }
        try ShellTool.run(
            "/usr/sbin/debootstrap",
            ["--variant=minbase", "--include=\(Self.packages.joined(separator: ","))", "bookworm", root], in: folder,
            environment: proxies)
        progress.step("configuring it")
        try configure(kernel)
        let initial = try initialFileSystem(kernel)
        let disk = "\(folder)/disk.raw"
        try FileSystemImage.make(disk, size: Self.disk, content: root, label: "root")
        return ImageRecipe.Parts(
            disk: disk, kernel: kernel.kernelFile(in: folder), initialFileSystem: initial, capacity: Self.disk,
            memory: Self.memory)
    }

    private func configure(_ kernel: KernelPackage) throws {
        try ShellTool.run("/bin/mkdir", ["-p", "\(root)/lib/modules", "\(root)/etc/systemd/network"])
        try ShellTool.run(
            "/bin/cp", ["-a", "\(folder)/kernel/lib/modules/\(kernel.release)", "\(root)/usr/lib/modules/"])
        try ShellTool.run("/usr/sbin/chroot", [root, "/sbin/depmod", kernel.release])
        try ShellTool.run("/usr/sbin/chroot", [root, "/bin/systemctl", "enable", "systemd-networkd", "ssh"])
        let files: [(path: String, text: String)] = [
            ("etc/fstab", "/dev/vda / ext4 errors=remount-ro 0 1\n"),
            ("etc/hostname", "debian\n"),
            // Each instance makes its own.
            ("etc/machine-id", ""),
            ("etc/systemd/network/10-dhcp.network", "[Match]\nName=e*\n\n[Network]\nDHCP=ipv4\n"),
            (
                "etc/cloud/cloud.cfg.d/90_medcloud.cfg",
                """
                datasource_list: [NoCloud]
                network: {config: disabled}
                growpart: {mode: "off"}
                resize_rootfs: true

                """
            ),
        ]
        for file in files { try DurableFile.write(file.text, to: "\(root)/\(file.path)", mode: 0o644) }
        for name in StateDirectory.names(in: "\(root)/etc/ssh") ?? [] where name.hasPrefix("ssh_host_") {
            unlink("\(root)/etc/ssh/\(name)")
        }
        // Packages that were downloaded to be installed.
        try ShellTool.run("/usr/sbin/chroot", [root, "/usr/bin/apt-get", "clean"])
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
        for (index, module) in try kernel.modules(["virtio_pci", "virtio_blk"], in: folder).enumerated() {
            files.file("modules/\(100 + index)-\(module.name).ko", module.content)
        }
        files.end()
        let path = "\(folder)/initrd"
        try DurableFile.write(files.bytes, to: path, mode: 0o444)
        return path
    }
}
