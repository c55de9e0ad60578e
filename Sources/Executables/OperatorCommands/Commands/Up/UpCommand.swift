import ArgumentParser
import CloudModel
import Foundation
import Glibc

/// `medcloud up`
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Start a region on this machine.",
        discussion: """
            Starts two private Postgres clusters, a private libvirtd, the controller and the gateway workers as children \
            of this process, restarts whatever dies, and stops everything in order on Ctrl-C. All data lies in the state directory; the \
            next `medcloud up` goes on with it. An empty state begins with the tenants of a folder of manifests, unless --empty.
            """)

    @OptionGroup var region: ConnectionOptions

    @Option(help: "The port to listen on; 0 takes any free one.")
    var port = 8080

    @Option(help: "The address to listen on. Anything but loopback should have TLS in front.")
    var host = "127.0.0.1"

    @Option(name: .customLong("base-url"), help: "The region's address as clients write it, if not http://HOST:PORT.")
    var baseURL: String?

    @Option(name: .customLong("tls-certificate"), help: "A PEM file with the certificate chain; needs --tls-key too.")
    var certificate: String?

    @Option(name: .customLong("tls-key"), help: "The certificate's key, a PEM file that the user medcloud may read.")
    var certificateKey: String?

    @Option(help: "How many gateway workers serve the port.")
    var workers = 2

    @Option(help: "The folder of manifests that an empty state begins with. Default: Tenants, beside the executables.")
    var tenants: String?

    @Flag(help: "Leave an empty state empty: no tenants.")
    var empty = false

    @Flag(name: .customLong("no-compute"), help: "Do without instances: no hypervisor is started.")
    var noCompute = false

    @Option(
        help:
            "A libvirt URI, such as qemu:///system or qemu+tls://HOST/system, to use in place of a private hypervisor.")
    var hypervisor: String?

    @Flag(help: "Return when the region is ready and leave it running; `medcloud down` stops it.")
    var detach = false

    func validate() throws {
        guard (1...64).contains(workers) else { throw ValidationError("--workers must be 1 to 64.") }
        guard (certificate == nil) == (certificateKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key go together.")
        }
        if let baseURL {
            guard let url = URL(string: baseURL), ["http", "https"].contains(url.scheme), url.host() != nil,
                url.query() == nil, url.fragment() == nil, !baseURL.hasSuffix("/")
            else {
                throw ValidationError(
                    "--base-url must be like https://HOST or https://HOST:PORT, without a slash at its end.")
            }
            guard certificate == nil || url.scheme == "https" else {
                throw ValidationError("--base-url must begin with https:// when there is a certificate.")
            }
        }
        guard !noCompute || hypervisor == nil else {
            throw ValidationError("--no-compute and --hypervisor exclude each other.")
        }
        guard (0...65_535).contains(port) else { throw ValidationError("--port must be 0 to 65535.") }
    }

    func run() async throws {
        let options = RegionLaunch.Options(
            state: region.state, host: host, port: port, baseURL: baseURL, workers: workers,
            tenants: empty ? nil : tenants.map(StateDirectory.absolute) ?? FirstTenants.standardFolder,
            compute: noCompute ? .none : hypervisor.map { .configured(uri: $0) } ?? .private,
            tls: certificate.map(StateDirectory.absolute).flatMap { certificate in
                certificateKey.map { (certificate, StateDirectory.absolute($0)) }
            },
            authorities: region.ownAuthorities)
        if detach {
            try await DetachedStart(state: region.state).run()
        } else {
            try await RegionLaunch(options: options).run()
        }
    }
}
