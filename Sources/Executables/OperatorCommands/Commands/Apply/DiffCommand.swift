import ArgumentParser
import CloudModel
import Glibc
import TenantManifest

/// `medcloud diff`
struct DiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show where the region is not what was asked for.",
        discussion: """
            Compares what runs with what the region has on record: tenants that are not ready, and drift of instances and \
            networks. With -f it also compares what is on record with manifests, as `medcloud plan` does. Exit code 0: no \
            difference; 2: there are some; 65: a manifest is wrong.
            """)

    @OptionGroup var manifests: ManifestOptions

    @Option(name: [.customShort("o"), .long], help: "How to print: table, json or yaml.")
    var output: OutputFormat = .table

    @OptionGroup var region: ConnectionOptions

    func validate() throws {
        guard output != .name else { throw ValidationError("-o must be table, json or yaml.") }
        guard !manifests.prune || !manifests.file.isEmpty else { throw ValidationError("--prune goes with -f.") }
    }

    func run() async throws {
        let files = try manifests.file.isEmpty ? nil : manifests.read()
        let isEmpty = try await region.withAPI { api in
            let observed = try await observed(api)
            var comparison: Application.Comparison?
            if let files {
                comparison = try await Application(api: api, files: files, prune: manifests.prune).compare()
            }
            if output == .table {
                Terminal.data(text(observed, comparison?.plan))
            } else {
                var members: [String: JSONValue] = ["drift": .array(observed)]
                if let comparison {
                    members["plan"] = PlanText.value(
                        comparison.plan, revision: comparison.revision, prune: manifests.prune)
                }
                Terminal.data(Renderer(format: output, columns: []).object(.object(members)))
            }
            return observed.isEmpty && comparison?.plan.isEmpty ?? true
        }
        if !isEmpty { throw differenceExitCode }
    }

    /// What is not as it was asked for, each in the form of `/v1/drift`.
    private func observed(_ api: PlatformAPI) async throws -> [JSONValue] {
        let tenants = try await api.tenants().filter { $0[key: "state"]?.string != "ready" }.map { tenant in
            JSONValue.object([
                "tenant": tenant[key: "id"] ?? .null, "kind": .string("tenant"), "name": tenant[key: "id"] ?? .null,
                "expected": .string("ready"), "found": tenant[key: "state"] ?? .null,
                "reason": tenant[key: "error"] ?? .null,
            ])
        }
        return tenants + (try await api.drift())
    }

    private func text(_ observed: [JSONValue], _ plan: SpecificationPlan?) -> String {
        var parts: [String] = []
        if observed.isEmpty {
            parts.append("What runs is what the region has on record.")
        } else {
            let columns: [Renderer.Column] = [
                .init("TENANT", "tenant"), .init("KIND", "kind"), .init("NAME", "name"), .init("EXPECTED", "expected"),
                .init("FOUND", "found"), .init("ACTION", "action"),
            ]
            parts.append(Renderer(format: .table, columns: columns).list(observed))
        }
        if let plan { parts.append(PlanText(plan: plan, usesColor: Terminal.usesColor(on: STDOUT_FILENO)).text) }
        return parts.joined(separator: "\n\n")
    }
}
