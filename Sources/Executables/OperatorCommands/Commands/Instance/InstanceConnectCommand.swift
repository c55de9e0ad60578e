import ArgumentParser
import CloudModel

/// `medcloud instance connect`
struct InstanceConnectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect",
        abstract: "Join standard input and output to a port of an instance.",
        discussion: """
            Instances' networks exist inside the private hypervisor only; this is the way in, on the region's machine. \
            With SSH: ssh -o ProxyCommand='medcloud instance connect NAME --tenant TENANT' debian@NAME
            """)

    @Argument(help: "The instance.")
    var name: String

    @Option(help: "The TCP port.")
    var port = 22

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions

    func validate() throws {
        guard (1...65_535).contains(port) else { throw ValidationError("--port must be 1 to 65535.") }
    }

    func run() async throws {
        let state = region.state
        let instance = try await region.withAPI { api in
            try await api.instance(name, of: tenant.id)
        }
        guard let address = instance[key: "status"]?[key: "address"]?.cell, !address.isEmpty else {
            throw CommandFailure(.refused, "The instance \(name) has no address yet.")
        }
        try GuestRelay(agent: state.hypervisorAgent).run(address: address, port: port)
    }
}
