import ArgumentParser
import CloudModel

/// `medcloud backup list`
struct BackupListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the backups below the state directory.")

    @OptionGroup var region: RegionOptions
    @OptionGroup var format: OutputOptions

    func run() throws {
        let directory = region.state.backupsDirectory
        let names = (StateDirectory.names(in: directory) ?? []).filter { !$0.hasSuffix(".unfinished") }.sorted()
        let items = try names.compactMap { name -> JSONValue? in
            let manifest: BackupManifest
            do {
                manifest = try BackupManifest.read("\(directory)/\(name)")
            } catch let failure as CommandFailure {
                Terminal.note("\(name) is left out: \(failure.message)")
                return nil
            }
            guard case .object(var members) = try manifest.value else { return nil }
            members["path"] = .string("\(directory)/\(name)")
            members["mebibytes"] = .integer(manifest.bytes >> 20)
            return .object(members)
        }
        let columns: [Renderer.Column] = [
            .init("BACKUP", "id"), .init("MADE", "createdAt"), .init("MIB", "mebibytes"), .init("TENANTS", "tenants"),
            .init("PATH", "path"),
        ]
        Terminal.data(Renderer(format: format.output, columns: columns).list(items))
    }
}
