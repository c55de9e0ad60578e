import ArgumentParser
import CloudModel

/// `medcloud backup create`
struct BackupCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Back up the running region: both clusters, keys and profiles.",
        discussion: "The region goes on working. The backup holds the region's secrets: keep it as safe as the region.")

    @Option(help: "The directory to make the backup in. Default: backups below the state directory.")
    var to: String?

    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let state = region.state
        let backup = RegionBackup(state: state, users: try RegionUsers.resolve(), progress: Progress())
        let (path, manifest) = try await region.withAPI { api in
            return try await backup.create(in: to.map(StateDirectory.absolute) ?? state.backupsDirectory) {
                try await api.tenants().compactMap { $0[key: "id"]?.string }.sorted()
            }
        }
        guard case .object(var members) = try manifest.value else { return }
        members["path"] = .string(path)
        members["mebibytes"] = .integer(manifest.bytes >> 20)
        let columns: [Renderer.Column] = [
            .init("backup", "id"), .init("path", "path"), .init("MiB", "mebibytes"), .init("tenants", "tenants"),
        ]
        Terminal.data(Renderer(format: format.output, columns: columns).object(.object(members)))
    }
}
