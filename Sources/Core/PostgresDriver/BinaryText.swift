/// Text forms of binary values.
enum BinaryNumeric {
    /// Postgres's `numeric_send`: number of base-10,000 digits, weight of the first, sign, display scale, digits.
    /// `nil` when the bytes are not that.
    static func text(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard bytes.count >= 8 else { return nil }
        func word(_ index: Int) -> UInt16 {
            unsafe UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
        }
        let digitCount = Int(word(0))
        let weight = Int(Int16(bitPattern: word(1)))
        let sign = word(2)
        let scale = Int(word(3))
        guard bytes.count == 8 + 2 * digitCount else { return nil }
        switch sign {
        case 0xC000: return "NaN"
        case 0xD000: return "Infinity"
        case 0xF000: return "-Infinity"
        default: break
        }
        func digits(_ index: Int) -> UInt16 { index >= 0 && index < digitCount ? word(4 + index) : 0 }
        func padded(_ value: UInt16) -> String {
            let text = String(value)
            return String(repeating: "0", count: 4 - min(4, text.count)) + text
        }
        var text = sign == 0x4000 ? "-" : ""
        if weight < 0 {
            text += "0"
        } else {
            text += String(digits(0))
            for index in stride(from: 1, through: weight, by: 1) {
                text += padded(digits(index))
            }
        }
        guard scale > 0 else { return text }
        var fraction = ""
        var index = weight + 1
        while fraction.utf8.count < scale {
            fraction += padded(digits(index))
            index += 1
        }
        return text + "." + fraction.prefix(scale)
    }
}

enum BinaryUUID {
    /// 8-4-4-4-12 lower-case hexadecimal digits.
    static func text(_ bytes: UnsafeRawBufferPointer) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for index in bytes.indices {
            if index == 4 || index == 6 || index == 8 || index == 10 { text.append(UInt8(ascii: "-")) }
            text.append(digits[Int(unsafe bytes[index] >> 4)])
            text.append(digits[Int(unsafe bytes[index] & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
