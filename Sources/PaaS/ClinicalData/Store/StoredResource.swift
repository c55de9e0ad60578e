package import NIOCore

/// How a version came to be; the values are those of the `method` columns.
package enum WriteMethod: UInt8, Sendable, Hashable {
    case create = 67  // C
    case update = 85  // U
    case patch = 80  // P
    case delete = 68  // D

    /// The HTTP method of `Bundle.entry.request`.
    package var httpMethod: String {
        switch self {
        case .create: "POST"
        case .update: "PUT"
        case .patch: "PATCH"
        case .delete: "DELETE"
        }
    }
}

/// One version of a resource as it lies in the database.
package struct StoredResource: Sendable {
    package let type: ResourceType
    package let id: String
    package let version: Int32
    /// Microseconds since 1970, whole milliseconds, strictly increasing from version to version.
    package let lastUpdated: Int64
    package let isDeleted: Bool
    package let method: WriteMethod
    /// Stored form (see ``ResourceBytes``); empty when deleted.
    package let content: ByteBuffer
    /// In a history: whether the version before was a deletion.
    package var isRestored = false

    /// Whether there was nothing before it.
    package var isCreated: Bool { version == 1 || isRestored }

    /// What is served.
    package var bytes: ByteBuffer {
        ResourceBytes.spliced(content: content, version: version, lastUpdated: lastUpdated)
    }
}

/// FHIR's rule for ids: 1…64 letters, digits, hyphens and dots.
package enum ResourceID {
    package static func isValid(_ id: some StringProtocol) -> Bool {
        (1...64).contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    /// A new id: a random UUID (version 4) in lower case.
    package static func make(using generator: inout some RandomNumberGenerator) -> String {
        let high = (generator.next() as UInt64) & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
        let low = (generator.next() as UInt64) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        return String(unsafeUninitializedCapacity: 36) { buffer in
            var position = 0
            for (word, groups) in [(high, [8, 4, 4]), (low, [4, 12])] {
                var shift = 64
                for group in groups {
                    if position > 0 {
                        buffer[position] = UInt8(ascii: "-")
                        position += 1
                    }
                    for _ in 0..<group {
                        shift -= 4
                        let digit = UInt8(truncatingIfNeeded: word >> UInt64(shift) & 15)
                        buffer[position] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
                        position += 1
                    }
                }
            }
            return position
        }
    }

    package static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        return make(using: &generator)
    }
}
