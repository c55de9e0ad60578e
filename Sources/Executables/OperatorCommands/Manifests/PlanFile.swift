import CloudModel
import StrictJSON
package import TenantManifest

/// A plan that was made at one revision of the region: what `medcloud plan -o FILE` writes and `medcloud apply FILE` takes.
/// It holds no secret.
package struct PlanFile: Sendable {
    /// Of the file's layout.
    private static let format = 1

    package let baseURL: String
    package let revision: Int64
    package let prune: Bool
    package let hash: String
    package let specifications: [TenantSpecification]
    /// The changes as the file shows them, for people and programs to read; nil for a plan that was not read.
    package private(set) var changes: JSONValue?

    package init(baseURL: String, revision: Int64, prune: Bool, hash: String, specifications: [TenantSpecification]) {
        self.baseURL = baseURL
        self.revision = revision
        self.prune = prune
        self.hash = hash
        self.specifications = specifications
    }

    /// Whether the file shows what the plan does.
    package func shows(_ plan: SpecificationPlan) throws -> Bool {
        var writer = JSONWriter()
        plan.write(to: &writer)
        return try changes == JSONValue(parsing: writer.bytes)
    }

    /// - Parameter plan: is written too, for people and programs to read; what counts is what it is made from.
    package func write(to path: String, with plan: SpecificationPlan) throws {
        var writer = JSONWriter()
        writer.object {
            $0.member("format", Self.format)
            $0.member("region", baseURL)
            $0.member("revision", revision)
            $0.member("prune", prune)
            $0.member("hash", hash)
            $0.key("changes")
            plan.write(to: &$0)
            $0.arrayMember("specifications") { list in
                for specification in specifications { specification.write(to: &list) }
            }
        }
        let text = try JSONValue(parsing: writer.bytes).serialized(pretty: true)
        try DurableFile.write(text + "\n", to: path, mode: 0o644)
    }

    package static func read(_ path: String) throws -> PlanFile {
        let bytes = try DurableFile.read(path)
        do {
            let root = try JSONDocument(bytes).root
            let known: Set = ["format", "region", "revision", "prune", "hash", "changes", "specifications"]
            guard root["format"]?.integer == format, root.members.allSatisfy({ known.contains($0.key) }),
                let changes = root["changes"], let region = root["region"]?.string,
                let revision = root["revision"]?.integer, let prune = root["prune"]?.bool,
                let hash = root["hash"]?.string, let list = root["specifications"]
            else { throw CommandFailure(.invalid, "") }
            var specifications: [TenantSpecification] = []
            for element in list.elements {
                specifications.append(
                    try SpecificationReader.specification(ManifestValue(element), form: .canonical))
            }
            var plan = PlanFile(
                baseURL: region, revision: Int64(revision), prune: prune, hash: hash, specifications: specifications)
            plan.changes = try JSONValue(parsing: Array(changes.rawBytes))
            return plan
        } catch let error as ManifestError {
            throw CommandFailure(.invalid, "\(path) holds what no manifest may say.\n\(error)")
        } catch {
            throw CommandFailure(
                .invalid,
                "\(path) is no plan: make one with `medcloud plan -f PATH -o FILE`, or name manifests with -f.")
        }
    }
}
