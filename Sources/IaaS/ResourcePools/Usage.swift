package import StrictJSON

/// A time during which an instance used the same.
package struct UsageInterval: Sendable, Hashable {
    /// UUID.
    package let instance: String
    package let name: String
    /// Microseconds since 1970.
    package let begin: Int64
    package let end: Int64
    /// What began it: `created`, `started`, `stopped` or `resized`.
    package let reason: String
    package let isRunning: Bool
    package let virtualCPUs: Int64
    /// Bytes.
    package let memory: Int64
    package let storage: Int64

    package init(
        instance: String, name: String, begin: Int64, end: Int64, reason: String, isRunning: Bool, virtualCPUs: Int64,
        memory: Int64, storage: Int64
    ) {
        self.instance = instance
        self.name = name
        self.begin = begin
        self.end = end
        self.reason = reason
        self.isRunning = isRunning
        self.virtualCPUs = virtualCPUs
        self.memory = memory
        self.storage = storage
    }
}

/// What an instance used over a time: sums over its intervals. Nothing is sampled, so they add up to the time that went by.
package struct UsageSummary: Sendable, Hashable {
    package let instance: String
    package let name: String
    /// Seconds it was there.
    package private(set) var seconds: Double = 0
    /// Seconds it ran.
    package private(set) var runningSeconds: Double = 0
    /// Of the time that it ran.
    package private(set) var vcpuSeconds: Double = 0
    /// GiB times seconds, of the time that it ran.
    package private(set) var memoryGibibyteSeconds: Double = 0
    /// GiB times seconds, of all the time.
    package private(set) var storageGibibyteSeconds: Double = 0
    package private(set) var intervals: [UsageInterval] = []

    /// One for each instance, in the order in which they come.
    package static func summaries(of intervals: [UsageInterval]) -> [UsageSummary] {
        var summaries: [UsageSummary] = []
        var positions: [String: Int] = [:]
        for interval in intervals {
            let position = positions[interval.instance] ?? summaries.count
            if position == summaries.count {
                positions[interval.instance] = position
                summaries.append(UsageSummary(instance: interval.instance, name: interval.name))
            }
            summaries[position].add(interval)
        }
        return summaries
    }

    private init(instance: String, name: String) {
        self.instance = instance
        self.name = name
    }

    private static let gibibyte = Double(1 << 30)

    private mutating func add(_ interval: UsageInterval) {
        let length = Double(interval.end - interval.begin) / 1_000_000
        seconds += length
        storageGibibyteSeconds += length * Double(interval.storage) / Self.gibibyte
        if interval.isRunning {
            runningSeconds += length
            vcpuSeconds += length * Double(interval.virtualCPUs)
            memoryGibibyteSeconds += length * Double(interval.memory) / Self.gibibyte
        }
        intervals.append(interval)
    }

    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("instance", instance)
            $0.member("name", name)
            $0.member("seconds", decimal: seconds)
            $0.member("runningSeconds", decimal: runningSeconds)
            $0.member("vcpuSeconds", decimal: vcpuSeconds)
            $0.member("memoryGibibyteSeconds", decimal: memoryGibibyteSeconds)
            $0.member("storageGibibyteSeconds", decimal: storageGibibyteSeconds)
            $0.arrayMember("intervals") { list in
                for interval in intervals { interval.write(to: &list) }
            }
        }
    }
}

extension UsageInterval {
    func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("from", InstantText.format(begin))
            $0.member("to", InstantText.format(end))
            $0.member("reason", reason)
            $0.member("running", isRunning)
            $0.member("vcpus", virtualCPUs)
            $0.member("memory", memory)
            $0.member("storage", storage)
        }
    }
}

extension JSONWriter {
    /// A number with at most three digits after the point.
    fileprivate mutating func member(_ key: String, decimal value: Double) {
        let thousandths = Int64((value * 1000).rounded())
        let fraction = String(thousandths % 1000 + 1000).dropFirst()
        member(key, raw: "\(thousandths / 1000).\(fraction)".utf8)
    }
}
