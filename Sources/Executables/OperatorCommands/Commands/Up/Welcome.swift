import CloudModel
import Glibc

/// What `medcloud up` prints when the region is ready.
struct Welcome {
    let state: RegionState
    let baseURL: String
    /// The authorities that vouch for the region's certificate, a PEM file.
    let caFile: String?

    func print() {
        Terminal.data(text)
    }

    private var text: String {
        let medcloud = Self.ownCommand
        let trust = caFile.map { " --cacert \($0)" } ?? ""
        let option = Self.isDefault(state) ? "" : " --state \(state.directory)"
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
            lines += [
                "Try, in another terminal:",
                "  \(loadCommand(medcloud, option))",
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
    private func loadCommand(_ medcloud: String, _ option: String) -> String {
        let load = "\(medcloud) load --tenant h1 \(state.samplesDirectory)\(option)"
        if StateDirectory.names(in: state.samplesDirectory)?.isEmpty == false { return load }
        return "ops/synthea 10 \(state.samplesDirectory) && \(load)"
    }

    private static func isDefault(_ state: RegionState) -> Bool {
        state.directory
            == StateDirectory.directory(option: nil, environment: Environment.current, isRoot: geteuid() == 0)
    }

    /// `medcloud` when a shell finds this very file under that name, else its path.
    private static var ownCommand: String {
        guard let own = try? ExecutableLocation.ownPath() else { return "medcloud" }
        for directory in (Environment.current["PATH"] ?? "").split(separator: ":") {
            if let resolved = realpath("\(directory)/medcloud", nil) {
                defer { free(resolved) }
                return String(cString: resolved) == own ? "medcloud" : own
            }
        }
        return own
    }
}
