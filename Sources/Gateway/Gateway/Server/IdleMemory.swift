import CLinux
import CloudTelemetry

/// Gives memory back to the system when the work that needed it is over.
///
/// The allocator keeps what large bundles have needed: free pages between blocks still in use, in each of its arenas.
/// malloc_trim(3) returns them, "the pages of all arenas that are wholly free", and holds each arena's lock meanwhile,
/// which is why it waits for a quiet moment.
package struct IdleMemory: Sendable {
    /// How often the process is looked at.
    static let interval: Duration = .seconds(5)
    /// A process that used less processor time than this since the last look is quiet, in milliseconds.
    static let quietMilliseconds: Int64 = 500
    /// What there must be above the least that was ever resident, in bytes.
    static let growth: Int64 = 8 << 20
    /// What was freed since the last time takes work to free: at least this much, in milliseconds. A process that waits for
    /// its database is quiet too, and what it waits with is not free yet.
    static let workMilliseconds: Int64 = 20

    private var lastCPU: Int64?
    /// Processor time at the last trim.
    private var trimmedCPU: Int64?
    /// The fewest bytes that were resident after a trim.
    private var least: Int64 = 0

    package init() {}

    /// Whether now is the time.
    ///
    /// - Parameters:
    ///   - resident: Bytes of the process in memory.
    ///   - cpu: Milliseconds of processor time since the process began.
    package mutating func shouldTrim(resident: Int64, cpu: Int64) -> Bool {
        defer { lastCPU = cpu }
        guard let lastCPU, cpu - lastCPU < Self.quietMilliseconds, resident > least + Self.growth else { return false }
        return trimmedCPU.map { cpu - $0 >= Self.workMilliseconds } ?? true
    }

    /// Tells what is resident after a trim.
    package mutating func trimmed(resident: Int64, cpu: Int64) {
        least = trimmedCPU == nil ? resident : min(least, resident)
        trimmedCPU = cpu
    }

    /// Looks at this process until the task is cancelled.
    package static func run() async throws {
        var memory = IdleMemory()
        while true {
            try await Task.sleep(for: interval)
            guard let resident = ProcessMetrics.residentBytes(),
                memory.shouldTrim(resident: resident, cpu: ProcessMetrics.cpuMilliseconds())
            else { continue }
            malloc_trim(0)
            memory.trimmed(
                resident: ProcessMetrics.residentBytes() ?? resident, cpu: ProcessMetrics.cpuMilliseconds())
        }
    }
}
