/// Random numbers for request ids without a system call each: xoshiro256++ (Blackman and Vigna), seeded by the system.
/// Not for secrets.
package struct RequestRandomness: RandomNumberGenerator, Sendable {
    private var a: UInt64
    private var b: UInt64
    private var c: UInt64
    private var d: UInt64

    package init() {
        var system = SystemRandomNumberGenerator()
        a = system.next()
        b = system.next()
        c = system.next()
        // A state of nothing but zeros would stay there.
        d = system.next() | 1
    }

    package mutating func next() -> UInt64 {
        let result = Self.rotated(a &+ d, 23) &+ a
        let shifted = b << 17
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= shifted
        d = Self.rotated(d, 45)
        return result
    }

    private static func rotated(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
}
