import ArgumentParser
import CloudModel
import Glibc
import TenantManifest

/// What `-o` of `plan` says: how to print, or where to keep the plan.
enum PlanOutput: ExpressibleByArgument, Equatable {
    case format(OutputFormat)
    case file(String)

    /// For the help.
    var defaultValueDescription: String {
        switch self {
        case .format(let format): format.rawValue
        case .file(let path): path
        }
    }

    /// A format by its name; a file by a full stop or a slash in it, so that a mistyped format becomes no file.
    init?(argument: String) {
        if let format = OutputFormat(rawValue: argument), format != .name {
            self = .format(format)
        } else if argument.contains(where: { $0 == "." || $0 == "/" }) {
            self = .file(argument)
        } else {
            return nil
        }
    }
}

/// Which manifests a command is about.
struct ManifestOptions: ParsableArguments {
    @Option(
        name: [.customShort("f"), .long], parsing: .upToNextOption,
        help: ArgumentHelp("Manifests: files, or folders of *.yaml.", valueName: "path"))
    var file: [String] = []

    @Flag(help: "Delete tenants of the region that no manifest names.")
    var prune = false

    @Flag(
        name: .customLong("no-compute"),
        help: "Leave networks and instances out, for a region without a hypervisor.")
    var noCompute = false

    /// The manifests that `-f` names.
    func read() throws -> ManifestFiles { try ManifestFiles.read(file, withCompute: !noCompute) }
}

/// Exit code of `plan` and `diff` when there is a difference.
let differenceExitCode = ExitCode(2)

/// `medcloud plan`
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show what applying manifests would change.",
        discussion: """
            Each change is none (written down only), live, restart (of one instance), replace, create or delete. With -o FILE the \
            plan is kept: `medcloud apply FILE` does exactly that, or refuses when the region has changed meanwhile. Exit \
            code 0: nothing to do; 2: there are changes; 65: a manifest is wrong.
            """)

    @OptionGroup var manifests: ManifestOptions

    @Option(
        name: [.customShort("o"), .long],
        help: "table, json or yaml; or a file to keep the plan in (its name has a full stop or a slash).")
    var output: PlanOutput = .format(.table)

    @OptionGroup var region: ConnectionOptions

    func validate() throws {
        guard !manifests.file.isEmpty else { throw ValidationError("Name manifests with -f.") }
    }

    func run() async throws {
        let files = try manifests.read()
        let isEmpty = try await region.withAPI { api in
            let application = Application(api: api, files: files, prune: manifests.prune)
            let comparison = try await application.compare()
            let plan = comparison.plan
            switch output {
            case .format(.table): Terminal.data(text(plan))
            case .format(let format):
                Terminal.data(
                    Renderer(format: format, columns: []).object(
                        PlanText.value(plan, revision: comparison.revision, prune: manifests.prune)))
            case .file(let path):
                let file = PlanFile(
                    baseURL: api.baseURL, revision: comparison.revision, prune: manifests.prune, hash: plan.hash,
                    specifications: application.specifications)
                try file.write(to: StateDirectory.absolute(path), with: plan)
                Terminal.data(text(plan))
                Terminal.note("Kept in \(path); `medcloud apply \(path)` does exactly this.")
            }
            return plan.isEmpty
        }
        if !isEmpty { throw differenceExitCode }
    }

    private func text(_ plan: SpecificationPlan) -> String {
        PlanText(plan: plan, usesColor: Terminal.usesColor(on: STDOUT_FILENO)).text
    }
}
