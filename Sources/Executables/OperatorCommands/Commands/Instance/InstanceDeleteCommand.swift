import ArgumentParser
import Glibc

/// `medcloud instance delete`
struct InstanceDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete an instance with its disk.",
        discussion: "There is no way back. Asks for the instance's name on a terminal; needs --yes elsewhere.")

    @Argument(help: "The instance.")
    var name: String

    @Flag(help: "Do it without asking.")
    var yes = false

    @Flag(name: .customLong("dry-run"), help: "Only show what would be deleted.")
    var dryRun = false

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions

    func run() async throws {
        let progress = Progress()
        try await region.withAPI { api in
            let instance = try await api.instance(name, of: tenant.id)
            let what =
                "instance \(name) of \(tenant.id) (\(instance[key: "status"]?[key: "state"]?.string ?? "")) with its disk"
            if dryRun {
                Terminal.note("Would delete \(what).")
                return
            }
            try confirm(what)
            progress.step("deleting \(what)")
            try await OperationProgress(progress).follow(try await api.deleteInstance(name, of: tenant.id), of: api)
            progress.step("deleted")
        }
    }

    private func confirm(_ what: String) throws {
        if yes { return }
        guard isatty(STDIN_FILENO) == 1 else {
            throw CommandFailure(.refused, "This would delete \(what). Say --yes to do it, --dry-run to only look.")
        }
        Terminal.note("This deletes \(what).")
        Terminal.write("Type the instance's name to go on: ", to: STDERR_FILENO)
        guard readLine() == name else { throw CommandFailure(.refused, "Nothing was deleted.") }
    }
}
