import ArgumentParser
import CloudModel
import Glibc

/// `medcloud backup restore`
struct BackupRestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Put a backup into an empty state directory; `medcloud up` then goes on with it.",
        discussion: "Every file is compared with its checksum first. A directory that holds a region is refused.")

    @Argument(help: "The backup's directory, or its id below the state directory's backups.")
    var backup: String

    @OptionGroup var region: RegionOptions

    func run() throws {
        let state = region.state
        let named = "\(state.backupsDirectory)/\(backup)"
        let isID = !backup.contains("/") && access(named + "/manifest.json", F_OK) == 0
        let path = isID ? named : StateDirectory.absolute(backup)
        let progress = Progress()
        try RegionBackup(state: state, users: try RegionUsers.resolve(), progress: progress).restore(from: path)
        progress.step("restored; start it with `medcloud up --state \(state.directory)`")
    }
}
