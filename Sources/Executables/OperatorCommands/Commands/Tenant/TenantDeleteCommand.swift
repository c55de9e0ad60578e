import ArgumentParser
import CloudModel
import Glibc

/// `medcloud tenant delete`
struct TenantDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete a tenant with all its records.",
        discussion:
            "There is no way back but a backup. Asks for the tenant's name on a terminal; needs --yes elsewhere.")

    @Argument(help: "The tenant.")
    var id: String

    @Flag(help: "Do it without asking.")
    var yes = false

    @Flag(name: .customLong("dry-run"), help: "Only show what would be deleted.")
    var dryRun = false

    @OptionGroup var region: ConnectionOptions

    func run() async throws {
        let state = region.state
        let progress = Progress()
        try await region.withAPI { api in
            let tenant = try await api.existingTenant(id)
            let clients = try await api.clients(of: id).compactMap { $0[key: "id"]?.string }
            let title = tenant[key: "name"]?.string ?? id
            let what = "tenant \(id) (\(title)), its database and its clients: \(clients.joined(separator: ", "))"
            if dryRun {
                Terminal.note("Would delete \(what).")
                return
            }
            try confirm(what)
            progress.step("deleting \(what)")
            let operation = try await api.deleteTenant(id)
            try await OperationProgress(progress).follow(operation, of: api)
            // The keys open nothing any more, and would be in the way of a new tenant of this name.
            try DurableFile.remove("\(state.clientsDirectory)/\(id)")
            progress.step("deleted")
        }
    }

    private func confirm(_ what: String) throws {
        if yes { return }
        guard isatty(STDIN_FILENO) == 1 else {
            throw CommandFailure(.refused, "This would delete \(what). Say --yes to do it, --dry-run to only look.")
        }
        Terminal.note("This deletes \(what).")
        Terminal.write("Type the tenant's name to go on: ", to: STDERR_FILENO)
        guard readLine() == id else { throw CommandFailure(.refused, "Nothing was deleted.") }
    }
}
