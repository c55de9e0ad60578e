package import CloudModel
package import Glibc

/// Where instances run.
package enum ComputeChoice: Sendable, Equatable {
    case none
    /// A libvirtd of the region's own.
    case `private`
    /// One that is there already, by libvirt's URI.
    case configured(uri: String)
}

/// What a private hypervisor needs of the machine.
package struct ComputeInstallation: Sendable {
    let executables: ExecutableLocation

    package init(executables: ExecutableLocation) {
        self.executables = executables
    }

    private static let programs: [(path: String, package: String)] = [
        ("/usr/sbin/libvirtd", "libvirt-daemon"),
        ("/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so", "libvirt-daemon-driver-qemu"),
        ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"), ("/usr/bin/qemu-img", "qemu-utils"),
        ("/usr/sbin/dnsmasq", "dnsmasq-base"), ("/usr/sbin/iptables", "iptables"), ("/usr/sbin/ebtables", "iptables"),
    ]

    private var executable: String { executables.directory + "/medcloud-hypervisor" }

    /// What is not there, each with what to do; empty when everything is.
    package func missing() throws -> [Finding] {
        guard geteuid() == 0 else {
            return [Finding("compute", .warning, "only root can run guests", advice: "start as root for instances")]
        }
        var findings: [Finding] = []
        let packages = Set(Self.programs.filter { access($0.path, R_OK) != 0 }.map(\.package)).sorted()
        if !packages.isEmpty {
            let names = packages.joined(separator: " ")
            findings.append(
                Finding(
                    "compute", .warning, "\(names) not installed", advice: "run ops/up, or install Debian's \(names)"))
        }
        if SystemUser.named("libvirt-qemu") == nil {
            let command = "useradd --system --no-create-home --shell /usr/sbin/nologin libvirt-qemu"
            findings.append(Finding("compute", .warning, "no user libvirt-qemu", advice: "run ops/up, or `\(command)`"))
        }
        if access(executable, X_OK) != 0 {
            findings.append(
                Finding(
                    "compute", .warning, "\(executable) is missing", advice: "build it with `swift build -c release`"))
        }
        if access("/dev/net/tun", R_OK | W_OK) != 0 {
            findings.append(
                Finding("compute", .warning, "no /dev/net/tun", advice: "give this machine or container the tun device")
            )
        }
        if try !canMakeNamespaces() {
            findings.append(
                Finding("compute", .warning, "namespaces are not allowed", advice: "this container needs CAP_SYS_ADMIN")
            )
        }
        return findings
    }

    /// How to start the hypervisor, whose sockets `socketGroup` may use.
    package func hypervisor(
        state: RegionState, socketGroup: gid_t, environment: [String: String]
    ) -> ProcessSpecification {
        var specification = ProcessSpecification(
            name: "hypervisor", executable: executable,
            arguments: ["--state", state.directory, "--socket-group", String(socketGroup)], environment: environment)
        specification.logFile = state.logFile(process: "hypervisor")
        return specification
    }

    private func canMakeNamespaces() throws -> Bool {
        var specification = ProcessSpecification(
            name: "unshare", executable: "/usr/bin/unshare",
            arguments: ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "/bin/true"],
            environment: Environment.minimal)
        specification.logFile = "/dev/null"
        return try ChildProcess.run(specification) == .exited(0)
    }
}
