import ArgumentParser

/// `medcloud backup …`
struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Back up and restore a whole region.",
        subcommands: [BackupCreateCommand.self, BackupListCommand.self, BackupRestoreCommand.self])
}
