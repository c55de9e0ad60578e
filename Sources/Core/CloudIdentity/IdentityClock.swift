import Glibc

/// The two times identity needs; injected, so that tests decide what time it is.
package struct IdentityClock: Sendable {
    /// Seconds since 1970.
    package let now: @Sendable () -> Int64
    /// Milliseconds that never jump.
    package let uptime: @Sendable () -> Int64

    package init(now: @escaping @Sendable () -> Int64, uptime: @escaping @Sendable () -> Int64) {
        self.now = now
        self.uptime = uptime
    }

    package static let system = IdentityClock(
        now: { Int64(read(CLOCK_REALTIME).tv_sec) },
        uptime: {
            let time = read(CLOCK_MONOTONIC)
            return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
        })

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(clock, &time)
        return time
    }
}
