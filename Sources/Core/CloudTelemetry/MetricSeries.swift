import Synchronization

/// A count that only grows.
package final class Counter: Sendable {
    private let value = Atomic<UInt64>(0)

    package init() {}

    package func increment(by amount: UInt64 = 1) {
        value.wrappingAdd(amount, ordering: .relaxed)
    }

    package var current: UInt64 { value.load(ordering: .relaxed) }
}

/// A number that goes up and down.
package final class Gauge: Sendable {
    private let value = Atomic<Int64>(0)

    package init() {}

    package func set(_ number: Int64) {
        value.store(number, ordering: .relaxed)
    }

    /// Returns the new value.
    @discardableResult
    package func add(_ amount: Int64) -> Int64 {
        value.wrappingAdd(amount, ordering: .relaxed).newValue
    }

    package var current: Int64 { value.load(ordering: .relaxed) }
}

/// A distribution of durations in fixed buckets. Observing is three relaxed atomic additions and no lock; a reading taken
/// while others observe may miss the last ones, never invent any.
package final class Histogram: Sendable {
    /// Upper bounds in microseconds, from 0.25 ms to 10 s.
    package static let boundsMicroseconds: [Int64] = [
        250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
        10_000_000,
    ]

    private let buckets: [Counter]
    private let sumNanoseconds = Atomic<UInt64>(0)

    package init() {
        buckets = (0...Self.boundsMicroseconds.count).map { _ in Counter() }
    }

    package func observe(nanoseconds: Int64) {
        let duration = max(0, nanoseconds)
        var index = 0
        while index < Self.boundsMicroseconds.count, duration > Self.boundsMicroseconds[index] * 1000 { index += 1 }
        buckets[index].increment()
        sumNanoseconds.wrappingAdd(UInt64(duration), ordering: .relaxed)
    }

    /// Cumulative counts a bound (the last one is +Inf and hence the count), and the sum in nanoseconds.
    package var reading: (cumulative: [UInt64], sumNanoseconds: UInt64) {
        var total: UInt64 = 0
        let cumulative = buckets.map { bucket in
            total += bucket.current
            return total
        }
        return (cumulative, sumNanoseconds.load(ordering: .relaxed))
    }
}
