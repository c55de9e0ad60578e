package import ArgumentParser
import CloudModel

/// The root of the command line.
package struct MedcloudCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "medcloud",
        abstract: "Run and operate a medcloud region.",
        discussion: """
            Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 failed, \
            2 there are differences (plan, diff), 3 not found, 4 refused, 5 the region does not answer, \
            6 not authorized, 64 bad arguments, 65 bad manifests.
            """,
        version: Release.version,
        subcommands: [
            UpCommand.self, DownCommand.self, StatusCommand.self, LogsCommand.self, DoctorCommand.self,
            TenantCommand.self, ClientCommand.self, OperationCommand.self, FeedCommand.self, TokenCommand.self,
            LoadCommand.self, BackupCommand.self, ImageCommand.self,
            ApplyCommand.self, PlanCommand.self, DiffCommand.self,
            InstanceCommand.self, NetworkCommand.self, QuotaCommand.self, UsageCommand.self, DriftCommand.self,
            DocsCommand.self, ExplainCommand.self, VersionCommand.self,
        ])

    package init() {}
}

/// The program: parses, runs, and turns every error into one line and an exit code.
package enum MedcloudProgram {
    package static func run(_ arguments: [String]) async -> Int32 {
        do {
            if let failure = UnknownNames.check(arguments, root: MedcloudCommand.self) { throw failure }
            var command = try MedcloudCommand.parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return 0
        } catch let failure as CommandFailure {
            Terminal.error(failure.message)
            return failure.code.rawValue
        } catch let code as ExitCode {
            return code.rawValue
        } catch is CancellationError {
            return 130
        } catch {
            let code = MedcloudCommand.exitCode(for: error)
            let text = MedcloudCommand.fullMessage(for: error)
            if code.isSuccess {
                Terminal.data(text)
            } else {
                // ArgumentParser's own word for it begins with a capital letter.
                Terminal.note(text.hasPrefix("Error: ") ? "error: " + text.dropFirst(7) : text)
            }
            return code.rawValue
        }
    }
}

/// Finds a word that should have been a noun or verb, and the one that was meant.
package enum UnknownNames {
    package static func check(_ arguments: [String], root: any ParsableCommand.Type) -> CommandFailure? {
        var command = root
        var path = "medcloud"
        for word in arguments {
            let children = command.configuration.subcommands
            guard !word.hasPrefix("-"), !children.isEmpty, word != "help" else { return nil }
            guard let next = children.first(where: { names(of: $0).contains(word) }) else {
                let known = children.flatMap(names)
                return CommandFailure(
                    .usage,
                    "\(path) has no command \"\(word)\"." + Suggestion.hint(for: word, among: known)
                        + " There are: \(known.joined(separator: ", ")).")
            }
            command = next
            path += " " + word
        }
        return nil
    }

    private static func names(of command: any ParsableCommand.Type) -> [String] {
        [command._commandName] + command.configuration.aliases
    }
}
