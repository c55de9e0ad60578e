import ArgumentParser

/// `medcloud instance …`
struct InstanceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "instance", abstract: "Make, list, start, stop and delete a tenant's virtual machines.",
        subcommands: [
            InstanceListCommand.self, InstanceShowCommand.self, InstanceCreateCommand.self, InstanceStartCommand.self,
            InstanceStopCommand.self, InstanceRebootCommand.self, InstanceDeleteCommand.self,
            InstanceConsoleCommand.self, InstanceConnectCommand.self,
        ])

    static let columns: [Renderer.Column] = [
        .init("INSTANCE", "name"), .init("STATE", "status.state"), .init("READY", "status.ready"),
        .init("ADDRESS", "status.address"), .init("IMAGE", "spec.image"), .init("VCPUS", "spec.vcpus"),
        .init("MEMORY", "spec.memory", isSize: true), .init("DISK", "spec.disk", isSize: true),
        .init("NETWORK", "spec.network"),
        .init("CREATED", "createdAt"),
    ]

    /// For one instance.
    static let details: [Renderer.Column] = [
        .init("instance", "name"), .init("state", "status.state"), .init("ready", "status.ready"),
        .init("reason", "status.reason"), .init("address", "status.address"), .init("MAC", "status.macAddress"),
        .init("image", "spec.image"), .init("vcpus", "spec.vcpus"), .init("memory", "spec.memory", isSize: true),
        .init("disk", "spec.disk", isSize: true), .init("network", "spec.network"), .init("probe", "spec.probe"),
        .init("seen", "status.seenAt"), .init("restarts", "status.restarts"), .init("operation", "status.operation"),
        .init("created", "createdAt"),
    ]
}

/// What the verbs that begin an operation on one instance share: they ask, follow, and show the instance.
struct InstanceVerb {
    let name: String
    let tenant: String
    let region: ConnectionOptions
    let format: OutputFormat

    /// - Parameters:
    ///   - doing: such as `starting`.
    ///   - begin: gives the operation.
    func run(_ doing: String, _ begin: (PlatformAPI) async throws -> JSONValue) async throws {
        let progress = Progress()
        try await region.withAPI { api in
            progress.step("\(doing) the instance \(name) of \(tenant)")
            try await OperationProgress(progress).follow(try await begin(api), of: api)
            let instance = try await api.instance(name, of: tenant)
            Terminal.data(Renderer(format: format, columns: InstanceCommand.details, name: "name").object(instance))
        }
    }
}
