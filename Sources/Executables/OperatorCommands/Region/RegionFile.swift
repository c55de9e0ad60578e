package import CloudModel
import Foundation

/// `region.json`: what runs, where it answers. Written by the supervisor at each change, read by the CLI.
package struct RegionFile: Codable, Sendable, Equatable {
    package enum Phase: String, Codable, Sendable {
        case starting, ready, stopping, stopped
    }

    package struct Process: Codable, Sendable, Equatable {
        package var name: String
        package var pid: Int32?
        package var state: String
        package var restarts: Int
        /// Seconds since 1970 of its last start.
        package var since: Int64?
    }

    package var phase: Phase
    package var supervisor: Int32
    package var version: String
    package var host: String
    package var port: Int
    package var baseURL: String
    /// The authorities that vouch for the region's certificate: a PEM file. Nil = those that the system trusts.
    package var caFile: String?
    /// The libvirt URI of a hypervisor that was configured; nil = the private one, or none.
    package var hypervisor: String?
    package var startedAt: Int64
    /// Milliseconds from the start of the supervisor to the first good answer.
    package var readyAfter: Int?
    package var processes: [Process]

    package func write(to state: RegionState) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try DurableFile.write(Array(try encoder.encode(self)) + [0x0A], to: state.regionFile, mode: 0o644)
    }

    /// The file of a region.
    /// - Throws: ``CommandFailure`` when nothing was ever started there.
    package static func read(_ state: RegionState) throws -> RegionFile {
        guard let bytes = try? DurableFile.read(state.regionFile) else {
            throw CommandFailure(
                .unreachable,
                "There is no region in \(state.directory): start one with `medcloud up`, or name it with --state.")
        }
        do {
            return try JSONDecoder().decode(RegionFile.self, from: Data(bytes))
        } catch {
            throw CommandFailure(.failed, "\(state.regionFile) is damaged; the next `medcloud up` writes it anew.")
        }
    }
}
