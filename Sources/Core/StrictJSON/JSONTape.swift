// The index that the scanner leaves behind: one fixed-size entry a key or value.

import Glibc

/// What a JSON value is.
package enum JSONKind: UInt8, Sendable {
    case object, array, string, number, `true`, `false`, null
}

/// One key or value of a scanned document.
///
/// Entries lie in document order. An object is followed by its keys and values in turn, an array by its elements.
package struct JSONEntry: Sendable {
    /// First byte, the opening quote of a string.
    package let start: UInt32
    /// One past the last byte.
    package internal(set) var end: UInt32
    /// Of a value: the entry after its subtree. Of a key: its hash (`JSONKey.hash`).
    package internal(set) var next: UInt32
    /// Kind in the low 4 bits, flags above them, the number of members or elements from bit 8.
    var info: UInt32

    static let escapedFlag: UInt32 = 1 << 4

    @inlinable package var kind: JSONKind { JSONKind(rawValue: UInt8(truncatingIfNeeded: info & 0xF)) ?? .null }
    /// Whether a string or key contains a backslash, so that its bytes are not its text.
    package var isEscaped: Bool { info & Self.escapedFlag != 0 }
    /// Members of an object, elements of an array.
    package var count: Int { Int(info >> 8) }
}

/// The hash by which keys are compared first. Not seeded: collisions cost time, never correctness.
package enum JSONKey {
    private static let prime: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// The hash of a key's unescaped bytes.
    package static func hash(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt32 {
        let raw = UnsafeRawPointer(bytes)
        var hash = UInt64(truncatingIfNeeded: count) &* prime
        if count >= 8 {
            var offset = 0
            while offset &+ 8 < count {
                hash = mix(hash ^ raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                offset &+= 8
            }
            hash = mix(hash ^ raw.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self))
        } else if count >= 4 {
            let low = UInt64(raw.loadUnaligned(as: UInt32.self))
            let high = UInt64(raw.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self))
            hash = mix(hash ^ (low | high << 32))
        } else {
            var word: UInt64 = 0
            for offset in 0..<count { word = word << 8 | UInt64(bytes[offset]) }
            hash = mix(hash ^ word)
        }
        return UInt32(truncatingIfNeeded: hash ^ (hash >> 32))
    }

    /// The hash of a key's text.
    package static func hash(_ text: String) -> UInt32 {
        var text = text
        return text.withUTF8 { buffer in
            guard let base = buffer.baseAddress else { return emptyHash }
            return hash(base, buffer.count)
        }
    }

    /// The hash of the empty key, for which there is no byte to point at.
    private static let emptyHash: UInt32 = {
        let none: [UInt8] = [0]
        return none.withUnsafeBufferPointer { $0.baseAddress.map { hash($0, 0) } ?? 0 }
    }()

    @inline(__always)
    private static func mix(_ value: UInt64) -> UInt64 {
        let product = value &* prime
        return product ^ (product >> 29)
    }
}

/// A view of a scanned document without reference counting, for code that visits every value.
///
/// Valid only inside `JSONDocument.withTape`; entries are named by their index.
package struct JSONTape {
    package let bytes: UnsafePointer<UInt8>
    package let entries: UnsafePointer<JSONEntry>

    @inline(__always)
    package subscript(_ index: Int) -> JSONEntry { entries[index] }

    /// The entry after the subtree of the value at `index`.
    @inline(__always)
    package func next(_ index: Int) -> Int { Int(entries[index].next) }

    /// The bytes of a string or key between its quotes, still escaped when `isEscaped`.
    @inline(__always)
    package func text(_ index: Int) -> UnsafeBufferPointer<UInt8> {
        let entry = entries[index]
        return UnsafeBufferPointer(start: bytes + Int(entry.start) + 1, count: Int(entry.end - entry.start) - 2)
    }

    /// All bytes of a value as they stand in the document.
    @inline(__always)
    package func raw(_ index: Int) -> UnsafeBufferPointer<UInt8> {
        let entry = entries[index]
        return UnsafeBufferPointer(start: bytes + Int(entry.start), count: Int(entry.end - entry.start))
    }

    /// The unescaped text of a string or key.
    package func string(_ index: Int) -> String {
        let text = text(index)
        guard entries[index].isEscaped else { return String(decoding: text, as: UTF8.self) }
        var bytes: [UInt8] = []
        JSONUnescaping.append(text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Calls `body` with the unescaped bytes of a string or key; copies only when there is an escape.
    @inline(__always)
    package func withText<R>(_ index: Int, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
        let text = text(index)
        guard entries[index].isEscaped else { return body(text) }
        var bytes: [UInt8] = []
        JSONUnescaping.append(text, to: &bytes)
        return bytes.withUnsafeBufferPointer(body)
    }

    /// Whether the unescaped text of a string or key is `other`.
    @inline(__always)
    package func isText(_ index: Int, _ other: UnsafeBufferPointer<UInt8>) -> Bool {
        withText(index) { $0.count == other.count && Self.equal($0, other) }
    }

    /// Whether the unescaped text of a string or key is `other`.
    package func isText(_ index: Int, _ other: String) -> Bool {
        var other = other
        return other.withUTF8 { isText(index, $0) }
    }

    /// The value of the member with this key, or nil. Linear in the number of members.
    package func member(_ object: Int, _ key: String) -> Int? {
        var key = key
        return key.withUTF8 {
            member(
                object, hash: $0.baseAddress.map { [count = $0.count] in JSONKey.hash($0, count) } ?? JSONKey.hash(""),
                $0)
        }
    }

    /// The value of the member with this key, or nil; the hash is `JSONKey.hash` of the key.
    package func member(_ object: Int, hash: UInt32, _ key: UnsafeBufferPointer<UInt8>) -> Int? {
        guard entries[object].kind == .object else { return nil }
        var index = object &+ 1
        let end = next(object)
        while index < end {
            if entries[index].next == hash, isText(index, key) { return index &+ 1 }
            index = next(index &+ 1)
        }
        return nil
    }

    @inline(__always)
    static func equal(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let first = left.baseAddress, let second = right.baseAddress else { return left.count == right.count }
        return memcmp(first, second, left.count) == 0
    }
}

/// Removes the escapes of a string that the scanner has accepted.
enum JSONUnescaping {
    static func append(_ text: UnsafeBufferPointer<UInt8>, to result: inout [UInt8]) {
        result.reserveCapacity(result.count + text.count)
        var index = 0
        while index < text.count {
            let byte = text[index]
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                index += 1
                continue
            }
            let escape = text[index + 1]
            index += 2
            switch escape {
            case UInt8(ascii: "b"): result.append(0x08)
            case UInt8(ascii: "f"): result.append(0x0C)
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "u"):
                var scalar = hex(text, index)
                index += 4
                if scalar >= 0xD800, scalar < 0xDC00 {
                    scalar = 0x10000 + ((scalar - 0xD800) << 10) + (hex(text, index + 2) - 0xDC00)
                    index += 6
                }
                append(scalar: scalar, to: &result)
            default: result.append(escape)
            }
        }
    }

    private static func hex(_ text: UnsafeBufferPointer<UInt8>, _ index: Int) -> UInt32 {
        var value: UInt32 = 0
        for offset in index..<index + 4 { value = value << 4 | UInt32(JSONScanner.hexValue(text[offset]) ?? 0) }
        return value
    }

    private static func append(scalar: UInt32, to result: inout [UInt8]) {
        switch scalar {
        case 0..<0x80:
            result.append(UInt8(scalar))
        case 0x80..<0x800:
            result.append(UInt8(0xC0 | scalar >> 6))
            result.append(UInt8(0x80 | scalar & 0x3F))
        case 0x800..<0x10000:
            result.append(UInt8(0xE0 | scalar >> 12))
            result.append(UInt8(0x80 | scalar >> 6 & 0x3F))
            result.append(UInt8(0x80 | scalar & 0x3F))
        default:
            result.append(UInt8(0xF0 | scalar >> 18))
            result.append(UInt8(0x80 | scalar >> 12 & 0x3F))
            result.append(UInt8(0x80 | scalar >> 6 & 0x3F))
            result.append(UInt8(0x80 | scalar & 0x3F))
        }
    }
}
