import CloudModel
import Glibc
import StrictJSON
package import TenantManifest

/// The manifests of some files and folders, read and checked, and where each thing they say stands.
package struct ManifestFiles: Sendable {
    /// One tenant's manifest.
    package struct Entry: Sendable {
        package let specification: TenantSpecification
        /// As it was named on the command line.
        package let file: String
        fileprivate let source: YAMLSource

        fileprivate var withoutCompute: Entry {
            Entry(specification: specification.withoutCompute, file: file, source: source)
        }
    }

    package let entries: [Entry]

    package var specifications: [TenantSpecification] { entries.map(\.specification) }

    /// How many tenants may be applied at once.
    package static let maximumTenants = 1000

    /// Reads files; a folder stands for its `*.yaml` and `*.yml`.
    ///
    /// - Parameter withCompute: false leaves networks and instances out, once they have been checked.
    /// - Throws: ``CommandFailure`` with a line for each thing that is wrong: file, line, key, what is allowed.
    package static func read(_ paths: [String], withCompute: Bool = true) throws -> ManifestFiles {
        var entries: [Entry] = []
        var problems: [String] = []
        for file in try expand(paths) {
            let sources: [YAMLSource]
            do {
                sources = try YAMLReader.documents(try DurableFile.read(file))
            } catch let failure as YAMLFailure {
                problems.append("\(file):\(failure.line): \(failure.message).")
                continue
            }
            if sources.isEmpty {
                problems.append("\(file):1: the file is empty; `medcloud apply --help` shows a manifest.")
            }
            for source in sources {
                do throws(ManifestError) {
                    let specification = try SpecificationReader.specification(source.value, form: .manifest) {
                        path throws(ManifestFileError) in try keys(path, beside: file)
                    }
                    entries.append(Entry(specification: specification, file: file, source: source))
                } catch {
                    problems += error.issues.map { describe($0, file: file, source: source) }
                }
            }
        }
        problems += known(entries)
        guard problems.isEmpty else { throw refusal(problems) }
        guard entries.count <= maximumTenants else {
            throw CommandFailure(.invalid, "There are \(entries.count) manifests; \(maximumTenants) is the most.")
        }
        return ManifestFiles(entries: withCompute ? entries : entries.map(\.withoutCompute))
    }

    private init(entries: [Entry]) {
        self.entries = entries
    }

    /// What has to do with more than one manifest, or with a table of the machine's.
    private static func known(_ entries: [Entry]) -> [String] {
        var problems: [String] = []
        for entry in entries {
            do {
                try TenantRules.checkTimeZone(entry.specification.timeZone)
            } catch let failure as CommandFailure {
                problems.append("\(place(entry, "/timeZone")) /timeZone: \(failure.message)")
            } catch {
                continue
            }
        }
        var first: [TenantID: Entry] = [:]
        for entry in entries {
            guard let other = first[entry.specification.id] else {
                first[entry.specification.id] = entry
                continue
            }
            problems.append(
                "\(place(entry, "/id")) /id: the tenant \"\(entry.specification.id)\" has a manifest already, at "
                    + "\(other.file):\(other.source.line(of: "/id")).")
        }
        let once = first.values.sorted { $0.specification.id.rawValue < $1.specification.id.rawValue }
        problems += SpecificationRules.issues(among: once.map(\.specification)).compactMap { issue in
            once.first { $0.specification.id.rawValue == issue.tenant }.map { describe(issue, $0) }
        }
        return problems
    }

    private static func refusal(_ problems: [String]) -> CommandFailure {
        let count = problems.count == 1 ? "One thing is wrong" : "\(problems.count) things are wrong"
        return CommandFailure(
            .invalid, "\(count) with the manifests; nothing was applied.\n" + problems.joined(separator: "\n"))
    }

    /// Translates issues that name tenants back to files; those of other tenants are said as they are.
    package func refusal(_ issues: [ManifestIssue]) -> CommandFailure {
        Self.refusal(
            issues.map { issue in
                entries.first { $0.specification.id.rawValue == issue.tenant }.map { Self.describe(issue, $0) }
                    ?? "\(issue.description)."
            })
    }

    // MARK: Words

    private static func place(_ entry: Entry, _ pointer: String) -> String {
        "\(entry.file):\(entry.source.line(of: pointer)):"
    }

    private static func describe(_ issue: ManifestIssue, _ entry: Entry) -> String {
        describe(issue, file: entry.file, source: entry.source)
    }

    private static func describe(_ issue: ManifestIssue, file: String, source: YAMLSource) -> String {
        var text = "\(file):\(source.line(of: issue.pointer)): "
        if !issue.pointer.isEmpty { text += "\(issue.pointer): " }
        text += issue.message + "."
        let nearest = issue.found.flatMap { Suggestion.nearest(to: $0, among: issue.allowed) }
        if let nearest { text += " Did you mean \"\(nearest)\"?" }
        if !issue.allowed.isEmpty { text += " Allowed: \(issue.allowed.joined(separator: ", "))." }
        return text
    }

    // MARK: Files

    private static func expand(_ paths: [String]) throws -> [String] {
        var files: [String] = []
        for path in paths {
            var status = stat()
            guard stat(path, &status) == 0 else {
                throw CommandFailure(.notFound, "There is no file or folder \(path).")
            }
            guard status.st_mode & S_IFMT == S_IFDIR else {
                files.append(path)
                continue
            }
            let names = (StateDirectory.names(in: path) ?? []).filter {
                ($0.hasSuffix(".yaml") || $0.hasSuffix(".yml")) && !$0.hasPrefix(".")
            }.sorted()
            guard !names.isEmpty else {
                throw CommandFailure(.notFound, "The folder \(path) holds no *.yaml file.")
            }
            files += names.map { path.hasSuffix("/") ? path + $0 : "\(path)/\($0)" }
        }
        return files
    }

    /// The public keys that a manifest names by file, relative to its own folder.
    private static func keys(_ path: String, beside file: String) throws(ManifestFileError) -> String {
        var whole = path
        if !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") { whole = file[...slash] + path }
        let bytes: [UInt8]
        do {
            var status = stat()
            guard stat(whole, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= 65_536 else {
                throw CommandFailure(.notFound, "")
            }
            bytes = try DurableFile.read(whole)
        } catch {
            throw ManifestFileError("there is no file \(whole) of at most 64 KiB")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ManifestFileError("\(whole) is no text")
        }
        guard !text.contains("PRIVATE KEY") else {
            throw ManifestFileError("\(whole) is a private key: name a file with the public JSON Web Key Set")
        }
        return text
    }
}
