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
    /// Work that may have freed much, in milliseconds: after so much of it the next quiet look is a reason to trim.
    static let workMilliseconds: Int64 = 20
    /// Quiet looks after which a trim is repeated without such work. A process that waits for its database is quiet too, what
    /// it waits with is not free yet, and freeing it takes hardly any work.
    static let patience = 3

    private var lastCPU: Int64
    /// Processor time at the last trim, and quiet looks since.
    private var trimmed: (cpu: Int64, looks: Int)?
    /// The fewest bytes that were resident at the beginning or after a trim. A first trim may find much in use that is free a
    /// moment later.
    private var least: Int64

    /// - Parameters:
    ///   - resident: Bytes of the process in memory, at its beginning.
    ///   - cpu: Milliseconds of processor time since then.
    package init(resident: Int64, cpu: Int64) {
        least = resident
        lastCPU = cpu
    }

    /// Whether now is the time.
    ///
    /// - Parameters:
    ///   - resident: Bytes of the process in memory.
    ///   - cpu: Milliseconds of processor time since the process began.
    package mutating func shouldTrim(resident: Int64, cpu: Int64) -> Bool {
        defer { lastCPU = cpu }
        guard cpu - lastCPU < Self.quietMilliseconds, resident > least + Self.growth else { return false }
        guard let last = trimmed else { return true }
        trimmed?.looks += 1
        return cpu - last.cpu >= Self.workMilliseconds || last.looks + 1 >= Self.patience
    }

    /// Tells what is resident after a trim.
    package mutating func trimmed(resident: Int64, cpu: Int64) {
        least = min(least, resident)
        trimmed = (cpu, 0)
    }

    /// Blocks of so many bytes get pages of their own, which go back to the system when they are freed.
    static let ownPages: Int32 = 1 << 20

    /// Makes the buffers of large bundles leave no holes in the heap. Call it before there are threads.
    ///
    /// By itself the allocator raises its limit for such blocks, up to 32 MiB, with each one that is freed (mallopt(3),
    /// M_MMAP_THRESHOLD, "Dynamic"), and they then lie among the small ones that stay.
    package static func keepLargeBlocksApart() {
        mallopt(M_MMAP_THRESHOLD, ownPages)
    }

    /// Looks at this process until the task is cancelled.
    package static func run() async throws {
        var memory = IdleMemory(
            resident: ProcessMetrics.residentBytes() ?? 0, cpu: ProcessMetrics.cpuMilliseconds())
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
