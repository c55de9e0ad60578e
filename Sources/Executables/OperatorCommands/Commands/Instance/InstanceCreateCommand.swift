import ArgumentParser
import Foundation
import TenantManifest

/// `medcloud instance create`
struct InstanceCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make an instance and wait until it is ready.",
        discussion: """
            Ready is when its probe has answered. When that takes longer than --probe-deadline the instance is left as it \
            is, the reason is shown, and the exit code is 1.
            """)

    @Argument(help: "The instance's name within the tenant, also its host name.")
    var name: String

    @Option(help: "The base image.")
    var image: String

    @Option(help: "Processors, 1 to 64.")
    var vcpus = 1

    @Option(help: "Memory, such as 512MiB.")
    var memory: String

    @Option(help: "Size of the disk, such as 4GiB.")
    var disk: String

    @Option(help: "The tenant's network that it is in.")
    var network: String

    @Option(name: .customLong("ssh-key"), help: "A file with an OpenSSH public key; may be given several times.")
    var keyFiles: [String] = []

    @Option(help: "What tells that it serves: tcp:PORT, or http:PORT/PATH.")
    var probe = "tcp:22"

    @Option(name: .customLong("probe-deadline"), help: "Seconds within which the probe must have answered.")
    var probeDeadline = 120

    @Flag(help: "Make it without starting it.")
    var stopped = false

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let specification = JSONValue.object([
            "name": .string(name), "image": .string(image), "vcpus": .integer(Int64(vcpus)),
            "memory": .integer(try Self.bytes(memory, "--memory")), "disk": .integer(try Self.bytes(disk, "--disk")),
            "network": .string(network), "sshKeys": .array(try keyFiles.map(Self.key)), "running": .bool(!stopped),
            "probe": try Self.probe(probe), "probeDeadline": .integer(Int64(probeDeadline)),
        ])
        let tenant = tenant.id
        try await InstanceVerb(name: name, tenant: tenant, region: region, format: format.output).run("making") {
            try await $0.createInstance(specification, in: tenant)
        }
        guard !stopped else { return }
        let status = try await region.withAPI { api in
            try await api.instance(name, of: tenant)
        }[key: "status"]
        guard status?[key: "ready"] == .bool(true) else {
            throw CommandFailure(
                .failed,
                "\(name) runs but is not ready: \(status?[key: "reason"]?.string ?? "no reason given"). "
                    + "See `medcloud instance console \(name) --tenant \(tenant)`.")
        }
    }

    static func bytes(_ text: String, _ option: String) throws -> Int64 {
        guard let bytes = ByteSize.bytes(text) else {
            throw CommandFailure(
                .usage,
                "\(option) must be a number with \(ByteSize.unitNames.joined(separator: ", ")), not \"\(text)\".")
        }
        return bytes
    }

    private static func key(_ file: String) throws -> JSONValue {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw CommandFailure(.notFound, "\(file) cannot be read.")
        }
        let line = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        if let refusal = PublicSSHKey.refusal(line) {
            throw CommandFailure(.usage, "The key in \(file) \(refusal).")
        }
        return .string(line)
    }

    static func probe(_ text: String) throws -> JSONValue {
        let parts = text.split(separator: ":", maxSplits: 1)
        if parts.count == 2, parts[0] == "tcp", let port = Int64(parts[1]), (1...65535).contains(port) {
            return .object(["tcp": .object(["port": .integer(port)])])
        }
        if parts.count == 2, parts[0] == "http" {
            let digits = parts[1].prefix { $0 != "/" }
            let path = parts[1].dropFirst(digits.count)
            if let port = Int64(digits), (1...65535).contains(port) {
                return .object([
                    "http": .object(["port": .integer(port), "path": .string(path.isEmpty ? "/" : String(path))])
                ])
            }
        }
        throw CommandFailure(.usage, "--probe must be tcp:PORT or http:PORT/PATH, not \"\(text)\".")
    }
}
