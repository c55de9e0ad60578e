import ArgumentParser
import CloudModel
import Glibc
import StrictJSON

/// `medcloud tenant export`
struct TenantExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a tenant's resources into a directory, one NDJSON file a type.",
        discussion: """
            Reads through the tenant's own FHIR API, so every read is audited. The resources are written byte for byte as \
            the API gives them, without the white space between their parts. The number of lines of each file is compared \
            with the number of resources that the tenant has.
            """)

    @Argument(help: "The tenant.")
    var id: String

    @Argument(help: "The directory; made if missing, and it may not hold NDJSON files yet.")
    var directory: String

    @Option(help: "The client to read with. Default: TENANT-system.")
    var client: String?

    @OptionGroup var region: ConnectionOptions

    func run() async throws {
        let target = StateDirectory.absolute(directory)
        if mkdir(target, 0o700) != 0, errno != EEXIST { throw CommandFailure.system("make \(target)", errno: errno) }
        guard (StateDirectory.names(in: target) ?? []).allSatisfy({ !$0.hasSuffix(".ndjson") }) else {
            throw CommandFailure(.refused, "\(target) already holds NDJSON files: choose another directory.")
        }
        let progress = Progress()
        let profile = try FHIRClient.profile(state: region.state, tenant: id, client: client)
        try await region.connect(trusting: profile.caFile) { connection in
            let fhir = FHIRClient(connection: connection, profile: profile)
            var total = 0
            for type in try await fhir.types() {
                let before = try await fhir.count(type)
                guard before > 0 else { continue }
                let lines = try await write(type, of: fhir, to: "\(target)/\(type).ndjson") { lines in
                    progress.status("\(type) \(lines) of \(before)")
                }
                let after = try await fhir.count(type)
                guard lines == before || lines == after else {
                    throw CommandFailure(
                        .failed,
                        "\(type): \(lines) resources were exported, the tenant has \(after); it was being written to. "
                            + "Export again into another directory.")
                }
                progress.step("\(type): \(lines)")
                total += lines
            }
            progress.step("exported \(total) resources to \(target)")
        }
    }

    private func write(
        _ type: String, of fhir: FHIRClient, to path: String, _ report: (Int) -> Void
    ) async throws -> Int {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw CommandFailure.system("write \(path)", errno: errno) }
        defer { close(descriptor) }
        var lines = 0
        var next: String? = "\(type)?_count=500&_sort=_id"
        while let query = next {
            let page = try await fhir.document("GET", query)
            var bytes: [UInt8] = []
            for entry in page.root["entry"]?.elements.map({ $0 }) ?? [] {
                guard entry["search"]?["mode"]?.stringIs("match") ?? true, let resource = entry["resource"] else {
                    continue
                }
                bytes += CompactJSON.withoutSpace(resource.rawBytes)
                bytes.append(0x0A)
                lines += 1
            }
            try append(bytes, to: descriptor, path: path)
            report(lines)
            next = page.root["link"]?.elements.first { $0["relation"]?.stringIs("next") ?? false }?["url"]?.string
        }
        guard fsync(descriptor) == 0 else { throw CommandFailure.system("write \(path)", errno: errno) }
        return lines
    }

    private func append(_ bytes: [UInt8], to descriptor: Int32, path: String) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { throw CommandFailure.system("write \(path)", errno: errno) }
            rest = rest.dropFirst(count)
        }
    }
}
