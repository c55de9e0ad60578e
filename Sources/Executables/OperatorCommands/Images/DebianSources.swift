import Glibc

/// Where this machine gets Debian 12 from, as its apt is configured: the image is made from the same, and keeps it.
struct DebianSources {
    static let release = "bookworm"

    /// `deb ADDRESS SUITE main`, for the release and, where the machine has them, its updates.
    let lines: [String]
    /// The address of the release itself.
    let mirror: String
    /// Proxies of this machine, for the tools that download; nothing of them stays in the image.
    let environment: [String: String]

    static func ofThisMachine() throws -> DebianSources {
        let targets = try ShellTool.lines(
            "/usr/bin/apt-get",
            ["indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"])
        guard let sources = DebianSources(targets: targets, environment: try proxies()) else {
            throw CommandFailure(
                .refused,
                "apt on this machine has no source of Debian 12 (\(release), main) by HTTP: add one to "
                    + "/etc/apt/sources.list and run `apt-get update`.")
        }
        return sources
    }

    /// - Parameter targets: `http://mirror/debian/ bookworm main`, one line for each index that apt knows.
    init?(targets: [String], environment: [String: String]) {
        var lines: [String] = []
        var mirror: String?
        for target in targets {
            let words = target.split(separator: " ").map(String.init)
            guard words.count == 3, words[0].hasPrefix("http://") || words[0].hasPrefix("https://"), words[2] == "main",
                [Self.release, Self.release + "-updates", Self.release + "-security"].contains(words[1])
            else { continue }
            if words[1] == Self.release, mirror == nil { mirror = words[0] }
            let line = "deb \(words[0]) \(words[1]) main"
            if !lines.contains(line) { lines.append(line) }
        }
        guard let mirror else { return nil }
        self.lines = lines
        self.mirror = mirror
        self.environment = environment
    }

    private static func proxies() throws -> [String: String] {
        var proxies: [String: String] = [:]
        // Acquire::http::Proxy "http://proxy:3128";
        for line in try ShellTool.lines("/usr/bin/apt-config", ["dump", "--format", "%f %v%n"]) {
            let words = line.split(separator: " ")
            guard words.count == 2 else { continue }
            switch words[0] {
            case "Acquire::http::Proxy": proxies["http_proxy"] = String(words[1])
            case "Acquire::https::Proxy": proxies["https_proxy"] = String(words[1])
            default: continue
            }
        }
        let own = Environment.current.filter { ["http_proxy", "https_proxy", "no_proxy"].contains($0.key) }
        return own.merging(proxies) { _, configured in configured }
    }
}
