/// The programs of the probe image: the least system that shows that an instance serves. It finds its seed, asks DHCP for its
/// address, mounts its disk, and answers on port 80:
///
/// - `GET /` says that it serves, `GET /cgi-bin/status` gives host name, instance id, starts counted on the disk, requests
///   counted in memory, and seconds since the start, as JSON;
/// - `GET` and `POST /cgi-bin/note` read and write a text on the disk.
enum ProbeSystem {
    /// Raised whenever what is below changes, so that images are built anew.
    static let revision = 1

    /// The least memory that the kernel starts with is 76 MiB.
    static let memory: Int64 = 80 << 20
    static let disk: Int64 = 16 << 20

    /// Kernel modules without which there is no disk, network, seed or power button; those they need are added.
    static let modules = ["virtio_pci", "virtio_net", "virtio_blk", "isofs", "button", "evdev", "virtio_rng"]

    static let applets = [
        "sh", "acpid", "cat", "echo", "hostname", "httpd", "insmod", "ip", "mount", "poweroff", "sed", "sleep", "sync",
        "udhcpc", "umount", "usleep",
    ]

    static let start = """
        #!/bin/busybox sh
        # The first process of medcloud's probe image.
        export PATH=/bin
        mount -t devtmpfs none /dev
        mount -t proc none /proc
        mount -t sysfs none /sys
        mount -t tmpfs none /run
        for module in /modules/*; do insmod "$module"; done

        # The NoCloud seed: the device with a file system of ISO 9660 that holds meta-data.
        tries=0
        while [ ! -f /seed/meta-data ] && [ "$tries" -lt 50 ]; do
            for device in /sys/block/vd*; do
                mount -t iso9660 -o ro "/dev/${device##*/}" /seed 2>/dev/null && break
            done
            tries=$((tries + 1))
            [ -f /seed/meta-data ] || usleep 100000
        done
        hostname "$(sed -n 's/^local-hostname: *//p' /seed/meta-data)"
        sed -n 's/^instance-id: *//p' /seed/meta-data >/run/instance-id

        mount -t ext4 /dev/vda /data || echo "probe: the disk cannot be mounted"
        starts=$(($(cat /data/starts 2>/dev/null || echo 0) + 1))
        echo "$starts" >/data/starts
        sync

        ip link set lo up
        ip link set eth0 up
        httpd -p 80 -h /www
        acpid -d >/dev/null 2>&1 &
        # Without a lease at first, it goes on asking.
        udhcpc -i eth0 -s /etc/dhcp -t 10 -T 1 -A 1 -b >/dev/null 2>&1
        echo "probe: $(hostname) serves, start $starts"
        while :; do sleep 3600; done

        """

    /// udhcpc gives the event as the first word and the lease in variables.
    static let lease = """
        #!/bin/busybox sh
        case "$1" in
            bound | renew) ip addr flush dev eth0; ip addr add "$ip/${mask:-24}" dev eth0 ;;
        esac

        """

    /// acpid runs it for the power button.
    static let powerButton = """
        #!/bin/busybox sh
        echo "probe: power button" >/dev/console
        sync
        umount /data
        poweroff -f

        """

    static let page = "<!doctype html><title>probe</title><p>This instance serves.\n"

    static let status = """
        #!/bin/busybox sh
        requests=$(($(cat /run/requests 2>/dev/null || echo 0) + 1))
        echo "$requests" >/run/requests
        printf 'Content-Type: application/json\\r\\n\\r\\n'
        printf '{"host":"%s","instance":"%s","starts":%s,"requests":%s,"seconds":%s}\\n' "$(hostname)" \\
            "$(cat /run/instance-id)" "$(cat /data/starts)" "$requests" "$(sed 's/ .*//' /proc/uptime)"

        """

    static let note = """
        #!/bin/busybox sh
        printf 'Content-Type: text/plain\\r\\n\\r\\n'
        if [ "$REQUEST_METHOD" = POST ]; then
            cat >/data/note
            sync
        fi
        cat /data/note 2>/dev/null

        """

    /// The initial file system.
    /// - Parameter modules: name and content, in the order of loading.
    static func initialFileSystem(busybox: [UInt8], modules: [(name: String, content: [UInt8])]) -> [UInt8] {
        var files = InitialFileSystem()
        for directory in [
            "bin", "data", "dev", "etc", "etc/acpi", "etc/acpi/PWRF", "modules", "proc", "run", "seed", "sys", "www",
            "www/cgi-bin",
        ] {
            files.directory(directory)
        }
        files.file("bin/busybox", busybox, executable: true)
        for applet in applets { files.link("bin/\(applet)", to: "busybox") }
        files.file("init", start, executable: true)
        files.file("etc/dhcp", lease, executable: true)
        files.file("etc/acpi/PWRF/00000080", powerButton, executable: true)
        files.file("www/index.html", page)
        files.file("www/cgi-bin/status", status, executable: true)
        files.file("www/cgi-bin/note", note, executable: true)
        for (index, module) in modules.enumerated() {
            files.file("modules/\(100 + index)-\(module.name).ko", module.content)
        }
        files.end()
        return files.bytes
    }
}
