/// A private IPv4 network in canonical form: `10.40.1.0/24`, of a length from /16 to /29 (RFC 1918, RFC 4632).
package struct AddressBlock: Sendable, Hashable, CustomStringConvertible {
    package let first: UInt32
    package let length: Int

    /// Why a text is no such block; sentences without a stop.
    package enum Refusal: Error, Sendable, Hashable {
        case form
        case length
        case hostBits(canonical: String)
        case notPrivate
        /// Zero-padded or otherwise not as we write it.
        case notCanonical(canonical: String)

        package var sentence: String {
            switch self {
            case .form: "is not a network such as 10.40.1.0/24"
            case .length: "must have a length from /16 to /29"
            case .hostBits(let canonical): "has bits beyond its length: did you mean \(canonical)"
            case .notPrivate: "must lie in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
            case .notCanonical(let canonical): "must be written \(canonical)"
            }
        }
    }

    package init(_ text: String) throws(Refusal) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, let length = Self.number(halves[1], atMost: 32) else { throw .form }
        let parts = halves[0].split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { throw .form }
        var address: UInt32 = 0
        for part in parts {
            guard let byte = Self.number(part, atMost: 255) else { throw .form }
            address = address << 8 | UInt32(byte)
        }
        guard (16...29).contains(length) else { throw .length }
        let mask = UInt32.max << UInt32(32 - length)
        self.first = address & mask
        self.length = length
        guard address & ~mask == 0 else { throw .hostBits(canonical: description) }
        guard text == description else { throw .notCanonical(canonical: description) }
        let isPrivate =
            address >> 24 == 10 || address >> 20 == 0xAC1 || address >> 16 == 0xC0A8
        guard isPrivate else { throw .notPrivate }
    }

    private static func number(_ text: Substring, atMost limit: Int) -> Int? {
        guard (1...3).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let value = Int(text), value <= limit
        else { return nil }
        return value
    }

    package func overlaps(_ other: AddressBlock) -> Bool {
        let shift = UInt32(32 - min(length, other.length))
        return first >> shift == other.first >> shift
    }

    package var description: String {
        let bytes = (0..<4).map { String(first >> UInt32(24 - 8 * $0) & 0xFF) }
        return bytes.joined(separator: ".") + "/\(length)"
    }
}
