import ArgumentParser
import CloudModel
import Glibc
import TenantManifest

/// `medcloud apply`
struct ApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Make the region what manifests say.",
        discussion: """
            Shows the plan, asks, then does all of it in one go and shows how it proceeds. Doing it again does nothing. A \
            manifest is a YAML file a tenant:

              # yaml-language-server: $schema=./schema.json
              id: clinic-north
              template: clinic
              name: Clinic North
              timeZone: Europe/Berlin
              language: de

            What deletes or replaces must be allowed by a flag; tenants that no manifest names stay, unless --prune. For a \
            client without keys of its own a key pair is made; its private half is kept in a file of mode 0600 below the \
            state directory. Exit code 0: done, or nothing to do; 1: a part failed; 4: not allowed, not confirmed, or the \
            region has changed; 65: a manifest is wrong.
            """)

    @Argument(help: "A plan that `medcloud plan -o FILE` has kept, instead of manifests.")
    var plan: String?

    @OptionGroup var manifests: ManifestOptions

    @Flag(help: "Do it without asking.")
    var yes = false

    @Flag(name: .customLong("allow-replace"), help: "Allow to replace what cannot change in place.")
    var allowReplace = false

    @Flag(name: .customLong("allow-delete"), help: "Allow to delete what is not asked for any more.")
    var allowDelete = false

    @Option(name: [.customShort("o"), .long], help: "How to print the result: table, json or yaml.")
    var output: OutputFormat = .table

    @OptionGroup var region: ConnectionOptions

    func validate() throws {
        guard (plan == nil) != manifests.file.isEmpty else {
            throw ValidationError("Name manifests with -f, or one file that `medcloud plan -o FILE` has written.")
        }
        guard plan == nil || !(manifests.prune || manifests.noCompute) else {
            throw ValidationError("--prune and --no-compute are part of the plan already.")
        }
        guard output != .name else { throw ValidationError("-o must be table, json or yaml.") }
    }

    func run() async throws {
        let kept = try plan.map(PlanFile.read)
        let files = try kept == nil ? manifests.read() : nil
        try await region.withAPI { api in
            let application: Application
            if let kept {
                application = Application(api: api, plan: kept)
            } else if let files {
                application = Application(api: api, files: files, prune: manifests.prune)
            } else {
                return
            }
            let comparison = try await application.compare()
            if let kept { try check(kept, comparison) }
            Terminal.note(PlanText(plan: comparison.plan, usesColor: Terminal.usesColor).text)
            guard !comparison.plan.isEmpty else {
                try await application.finishEarlier()
                print(.null, [])
                return
            }
            try checkPermissions(comparison.plan)
            try confirm()
            let result = try await application.carryOut(comparison, allowed: allowed)
            print(result.operation, result.parts)
            Terminal.note("Done.")
        }
    }

    private var allowed: [SpecificationChange.Effect] {
        (allowReplace ? [.replace] : []) + (allowDelete ? [.delete] : [])
    }

    private func check(_ kept: PlanFile, _ comparison: Application.Comparison) throws {
        guard kept.revision == comparison.revision else {
            throw CommandFailure(
                .refused,
                "The region has changed since the plan was made (revision \(kept.revision), now \(comparison.revision)); "
                    + "nothing was done. Make the plan again and look at it.")
        }
        guard try kept.hash == comparison.plan.hash && kept.shows(comparison.plan) else {
            throw CommandFailure(
                .refused,
                "The plan is not what this region and its own specifications give (made for \(kept.baseURL)), or its changes "
                    + "were edited; nothing was done. Make the plan again.")
        }
    }

    private func checkPermissions(_ plan: SpecificationPlan) throws {
        let missing = plan.neededPermissions.filter { !allowed.contains($0) }
        guard !missing.isEmpty else { return }
        let flags = missing.map { "--allow-\($0.rawValue)" }.joined(separator: " ")
        let places = plan.changes.filter { missing.contains($0.effect) }.prefix(10).map { change in
            "\n  \(change.effect.rawValue) \(change.tenant)\(change.path)"
        }
        throw CommandFailure(
            .refused,
            "The plan destroys something; say \(flags) when that is meant. Nothing was done." + places.joined())
    }

    private func confirm() throws {
        if yes { return }
        guard isatty(STDIN_FILENO) == 1 else {
            throw CommandFailure(.refused, "Nobody is there to ask. Say --yes to do it, or look with `medcloud plan`.")
        }
        Terminal.write("\nDo it? Type yes: ", to: STDERR_FILENO)
        guard readLine() == "yes" else { throw CommandFailure(.refused, "Nothing was done.") }
    }

    private func print(_ operation: JSONValue, _ parts: [JSONValue]) {
        guard output != .table else { return }
        Terminal.data(
            Renderer(format: output, columns: []).object(
                .object(["operation": operation, "parts": .array(parts)])))
    }
}
