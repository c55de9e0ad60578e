import CloudModel
import Glibc

/// What `medcloud up` prints when the region is ready.
struct Welcome {
    let state: RegionState
    let baseURL: String
    /// The authorities that vouch for the region's certificate, a PEM file.
    let caFile: String?

    func print() {
        guard let typed = try? TypedCommand.current() else { return }
        Terminal.data(text(typed))
    }

    private func text(_ typed: TypedCommand) -> String {
        let medcloud = typed.name
        let trust = caFile.map { " --cacert \(typed.path($0))" } ?? ""
        let option = Self.isDefault(state) ? "" : " --state \(typed.path(state.directory))"
        var lines = [
            "",
            "  FHIR base     \(baseURL)/t/TENANT/fhir",
            "  API and docs  \(baseURL)/docs",
            "  operator      \(state.operatorProfile)",
            "  logs          \(state.logsDirectory)",
            "",
        ]
        let hasDemo = access(state.clientFile(tenant: "h1", client: "h1-system"), R_OK) == 0
        if hasDemo {
            lines.append("Try, in another terminal:")
            if let load = load(typed, option) { lines.append("  " + load) }
            lines += [
                "  curl -s\(trust) -H \"Authorization: Bearer $(\(medcloud) token --tenant h1\(option))\" "
                    + "'\(baseURL)/t/h1/fhir/Patient?_count=10&_elements=name,birthDate'",
                "  \(medcloud) docs\(option)",
                "",
            ]
        } else {
            lines += [
                "Make a hospital:",
                "  \(medcloud) tenant create h1 --name 'First Hospital' --time-zone Europe/Berlin --language de\(option)",
                "",
            ]
        }
        lines.append("Ctrl-C stops the region; its data stays in \(state.directory).")
        return lines.joined(separator: "\n")
    }

    /// Loads the patients that `ops/up` has prepared; makes them first where it has not.
    private func load(_ typed: TypedCommand, _ option: String) -> String? {
        let samples = typed.path(state.samplesDirectory)
        let load = "\(typed.name) load --tenant h1 \(samples)\(option)"
        if StateDirectory.names(in: state.samplesDirectory)?.isEmpty == false { return load }
        return typed.script("synthea").map { "\($0) 10 \(samples) && \(load)" }
    }

    private static func isDefault(_ state: RegionState) -> Bool {
        state.directory
            == StateDirectory.directory(option: nil, environment: Environment.current, isRoot: geteuid() == 0)
    }
}
