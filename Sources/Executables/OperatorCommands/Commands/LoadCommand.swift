import ArgumentParser
import CloudModel
import Glibc
import NIOCore
import StrictJSON

/// `medcloud load`
struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Post FHIR files to a tenant.",
        discussion: """
            Each file is a transaction or batch Bundle, or one resource, in JSON. A directory stands for its *.json files. \
            Files are posted side by side; one that is refused does not stop the others, but the exit code is then 1.
            """)

    @Argument(help: "Files or directories.")
    var files: [String]

    @Option(help: "The tenant.")
    var tenant: String

    @Option(help: "The client to write with. Default: TENANT-system.")
    var client: String?

    @Option(help: "How many files at once.")
    var parallel = 4

    @OptionGroup var region: ConnectionOptions

    func validate() throws {
        guard !files.isEmpty else { throw ValidationError("Name at least one file or directory.") }
        guard (1...64).contains(parallel) else { throw ValidationError("--parallel must be 1 to 64.") }
    }

    private struct Outcome: Sendable {
        let file: String
        let resources: Int
        let failure: CommandFailure?
    }

    func run() async throws {
        let paths = try expand(files)
        let progress = Progress()
        let profile = try FHIRClient.profile(state: region.state, tenant: tenant, client: client)
        try await region.connect(trusting: profile.caFile) { connection in
            let fhir = FHIRClient(connection: connection, profile: profile)
            let begin = ContinuousClock.now
            var waiting = paths[...]
            var done = 0
            var failed = 0
            var resources = 0
            await withTaskGroup(of: Outcome.self) { group in
                for path in waiting.prefix(parallel) { group.addTask { await Self.post(path, to: fhir) } }
                waiting = waiting.dropFirst(parallel)
                for await outcome in group {
                    done += 1
                    resources += outcome.resources
                    if let failure = outcome.failure {
                        failed += 1
                        progress.step("\(outcome.file): \(failure.message)")
                    }
                    progress.status("\(done) of \(paths.count) files, \(resources) resources")
                    if let path = waiting.popFirst() { group.addTask { await Self.post(path, to: fhir) } }
                }
            }
            let seconds = max(0.001, (ContinuousClock.now - begin) / .seconds(1))
            progress.step(
                "\(done - failed) of \(paths.count) files, \(resources) resources, "
                    + "\(Int(Double(resources) / seconds)) a second")
            guard failed == 0 else {
                throw CommandFailure(.failed, "\(failed) of \(paths.count) files were refused; see above.")
            }
        }
    }

    private static func post(_ path: String, to fhir: FHIRClient) async -> Outcome {
        do {
            let bytes = try DurableFile.read(path)
            let document: JSONDocument
            do {
                document = try JSONDocument(bytes, limits: limits)
            } catch {
                throw CommandFailure(.failed, "not strict JSON: \(error.message)")
            }
            guard let type = document.root["resourceType"]?.string else {
                throw CommandFailure(.failed, "not a FHIR resource: resourceType is missing")
            }
            let isRequest = ["transaction", "batch"].contains(document.root["type"]?.string ?? "")
            let answer = try await send(bytes, path: type == "Bundle" && isRequest ? "" : type, to: fhir)
            guard answer.status < 300 else { throw PlatformAPI.failure(of: answer) }
            let count = type == "Bundle" && isRequest ? document.root["entry"]?.count ?? 0 : 1
            return Outcome(file: path, resources: count, failure: nil)
        } catch let failure as CommandFailure {
            return Outcome(file: path, resources: 0, failure: failure)
        } catch {
            return Outcome(file: path, resources: 0, failure: CommandFailure(.failed, "\(error)"))
        }
    }

    /// Posts once more, up to three times, when the region asks to be left alone for a moment. Nothing was stored then.
    private static func send(_ bytes: [UInt8], path: String, to fhir: FHIRClient) async throws
        -> RegionConnection.Answer
    {
        var tries = 0
        while true {
            let answer = try await fhir.send("POST", path, body: bytes, timeout: .minutes(10))
            tries += 1
            guard answer.status == 429 || answer.status == 503, tries < 4 else { return answer }
            let seconds = answer.header("retry-after").flatMap { Int($0) } ?? 1
            try await Task.sleep(for: .seconds(min(max(seconds, 1), 30)))
        }
    }

    /// The same bytes as the server's limit for a body.
    private static let limits = JSONLimits()

    private func expand(_ arguments: [String]) throws -> [String] {
        var paths: [String] = []
        for argument in arguments {
            let path = StateDirectory.absolute(argument)
            var status = stat()
            guard stat(path, &status) == 0 else {
                throw CommandFailure(.notFound, "There is no file or directory \(argument).")
            }
            if status.st_mode & S_IFMT == S_IFDIR {
                let names = (StateDirectory.names(in: path) ?? []).filter { $0.hasSuffix(".json") }.sorted()
                guard !names.isEmpty else {
                    throw CommandFailure(.notFound, "The directory \(argument) holds no *.json file.")
                }
                paths += names.map { "\(path)/\($0)" }
            } else {
                paths.append(path)
            }
        }
        return paths
    }
}
