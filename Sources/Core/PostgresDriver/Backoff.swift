/// How long to wait before the next attempt to connect: doubles from 10 ms to 1 s, with up to a quarter taken off so
/// that many pools do not knock together.
struct Backoff {
    private(set) var failures = 0

    mutating func succeeded() {
        failures = 0
    }

    /// - Parameter random: 0 ..< 1.
    mutating func failed(random: Double) -> Duration {
        failures += 1
        let milliseconds = min(1000, 10 << min(failures - 1, 7))
        return .microseconds(Int64(Double(milliseconds) * 1000 * (1 - 0.25 * random)))
    }
}
