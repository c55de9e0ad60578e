import ArgumentParser

/// `medcloud usage`
struct UsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage", abstract: "Show what a tenant's instances used.",
        discussion: """
            Sums of intervals that follow each other without a gap; -o json shows the intervals too. Processors and memory \
            count while an instance runs, its disk as long as it is there.
            """)

    @Option(help: "From when, such as 2026-11-01T00:00:00Z. Default: a day before the end.")
    var from: String?

    @Option(help: "Until when. Default: now.")
    var to: String?

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    private static let columns: [Renderer.Column] = [
        .init("INSTANCE", "name"), .init("SECONDS", "seconds"), .init("RUNNING", "runningSeconds"),
        .init("VCPU SECONDS", "vcpuSeconds"), .init("MEMORY GiB s", "memoryGibibyteSeconds"),
        .init("STORAGE GiB s", "storageGibibyteSeconds"),
    ]

    func run() async throws {
        let usage = try await region.withAPI { api in
            try await api.usage(of: tenant.id, from: from, to: to)
        }
        let renderer = Renderer(format: format.output, columns: Self.columns, name: "name")
        switch format.output {
        case .table, .name: Terminal.data(renderer.list(usage[key: "items"]?.elements ?? []))
        case .json, .yaml: Terminal.data(renderer.object(usage))
        }
    }
}
