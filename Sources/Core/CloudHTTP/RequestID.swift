/// The id of one request: a client's `X-Request-Id` when it is well-formed, otherwise 26 random base32 characters.
package enum RequestID {
    /// Accepted from clients: 1…64 characters of letters, digits, `-`, `_`, `.`, `:`. Everything else could break a log
    /// line or a header and is replaced, not refused.
    package static func accepted(_ header: String?) -> String? {
        guard let header, (1...64).contains(header.utf8.count) else { return nil }
        let isWellFormed = header.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: ":"):
                true
            default: false
            }
        }
        return isWellFormed ? header : nil
    }

    /// A new id from 128 random bits.
    package static func make(using generator: inout some RandomNumberGenerator) -> String {
        var high: UInt64 = generator.next()
        var low: UInt64 = generator.next()
        return String(unsafeUninitializedCapacity: 26) { buffer in
            for index in 0..<26 {
                buffer[index] = alphabet(UInt8(truncatingIfNeeded: low & 31))
                low = low >> 5 | high << 59
                high >>= 5
            }
            return 26
        }
    }

    package static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        return make(using: &generator)
    }

    private static func alphabet(_ value: UInt8) -> UInt8 {
        value < 26 ? UInt8(ascii: "a") + value : UInt8(ascii: "2") + value - 26
    }
}
