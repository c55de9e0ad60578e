import ArgumentParser

/// `medcloud quota set`
struct QuotaSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Set what a tenant may use.",
        discussion: "A limit that is not given stays as it is. One below what is used is refused.")

    @Option(help: "Instances that exist.")
    var instances: Int64?

    @Option(help: "Instances that run.")
    var running: Int64?

    @Option(help: "Processors of existing instances.")
    var vcpus: Int64?

    @Option(help: "Memory of existing instances, such as 16GiB.")
    var memory: String?

    @Option(help: "Disks of existing instances, such as 200GiB.")
    var storage: String?

    @Option(help: "Private networks.")
    var networks: Int64?

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        var changes: [String: Int64] = [:]
        changes["instances"] = instances
        changes["running"] = running
        changes["vcpus"] = vcpus
        changes["memory"] = try memory.map { try InstanceCreateCommand.bytes($0, "--memory") }
        changes["storage"] = try storage.map { try InstanceCreateCommand.bytes($0, "--storage") }
        changes["networks"] = networks
        guard !changes.isEmpty else { throw CommandFailure(.usage, "Name at least one limit, such as --instances 10.") }
        guard changes.values.allSatisfy({ $0 >= 0 }) else {
            throw CommandFailure(.usage, "A limit is zero or more.")
        }
        let quota = try await region.withAPI { api in
            guard case .object(let present) = try await api.quota(of: tenant.id) else {
                throw CommandFailure(.failed, "The region's answer is no quota.")
            }
            let limits = present.compactMapValues { $0[key: "limit"]?.integer }
            return try await api.setQuota(limits.merging(changes) { _, new in new }, of: tenant.id)
        }
        QuotaCommand.print(quota, format.output)
    }
}
