// The formats of FHIR's primitive types, by hand: no regular expressions on the write path.

/// Checks the text of primitives (https://hl7.org/fhir/R4/datatypes.html#primitive). Bytes are valid UTF-8.
enum PrimitiveFormat {
    typealias Bytes = UnsafeBufferPointer<UInt8>

    /// `[A-Za-z0-9\-\.]{1,64}`
    static func isID(_ text: Bytes) -> Bool {
        guard text.count >= 1, text.count <= 64 else { return false }
        return text.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
    }

    /// `[^\s]+(\s[^\s]+)*`: words with single spaces between them.
    static func isCode(_ text: Bytes) -> Bool {
        guard let first = text.first, let last = text.last, !isSpace(first), !isSpace(last) else { return false }
        var previousIsSpace = false
        for byte in text {
            let space = isSpace(byte)
            if space, previousIsSpace { return false }
            previousIsSpace = space
        }
        return true
    }

    /// `\S*`, and not empty.
    static func isURI(_ text: Bytes) -> Bool { !text.isEmpty && !text.contains(where: isSpace) }

    /// `urn:oid:[0-2](\.(0|[1-9][0-9]*))+`
    static func isOID(_ text: Bytes) -> Bool {
        guard text.starts(with: "urn:oid:".utf8) else { return false }
        let parts = text.dropFirst(8).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count > 1, parts[0].count == 1, let root = parts[0].first, root >= UInt8(ascii: "0"),
            root <= UInt8(ascii: "2")
        else { return false }
        return parts.dropFirst().allSatisfy { part in
            !part.isEmpty && part.allSatisfy(isDigit) && (part.count == 1 || part.first != UInt8(ascii: "0"))
        }
    }

    /// `urn:uuid:` and 8-4-4-4-12 hexadecimal digits. The specification's expression has lower case only, and RFC 4122
    /// says that input is case-insensitive.
    static func isUUID(_ text: Bytes) -> Bool {
        guard text.starts(with: "urn:uuid:".utf8), text.count == 45 else { return false }
        for (index, byte) in text.dropFirst(9).enumerated() {
            let isDash = [8, 13, 18, 23].contains(index)
            guard isDash ? byte == UInt8(ascii: "-") : isHexadecimal(byte) else { return false }
        }
        return true
    }

    /// Base64 with padding; white space is allowed between the characters.
    static func isBase64(_ text: Bytes) -> Bool {
        var (characters, padding) = (0, 0)
        for byte in text {
            if isAlphanumeric(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/") {
                if padding > 0 { return false }
                characters += 1
            } else if byte == UInt8(ascii: "=") {
                padding += 1
            } else if !isSpace(byte) {
                return false
            }
        }
        return characters > 0 && padding <= 2 && (characters + padding) % 4 == 0
    }

    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, a real day.
    static func isDate(_ text: Bytes) -> Bool {
        guard text.count <= 10, let date = WrittenDate(text) else { return false }
        return date.precision <= .day
    }

    /// A date, or a date with time, seconds and offset.
    static func isDateTime(_ text: Bytes) -> Bool {
        guard let date = WrittenDate(text) else { return false }
        return date.precision <= .day || (date.precision == .second && date.hasOffset)
    }

    /// A date with time, seconds and offset.
    static func isInstant(_ text: Bytes) -> Bool {
        guard let date = WrittenDate(text) else { return false }
        return date.precision == .second && date.hasOffset
    }

    /// `hh:mm:ss[.f…]`
    static func isTime(_ text: Bytes) -> Bool {
        var reader = DigitReader(text)
        guard let hour = reader.number(2), hour < 24, reader.skip(":"), let minute = reader.number(2), minute < 60,
            reader.skip(":"), let second = reader.number(2), second <= 60
        else { return false }
        return reader.isAtEnd || (reader.skip(".") && reader.fraction() != nil && reader.isAtEnd)
    }

    /// `[ \r\n\t\S]+`: something other than white space. Control characters are refused by the JSON grammar unless
    /// escaped, and Postgres keeps them.
    static func isString(_ text: Bytes) -> Bool { text.contains { !isSpace($0) } }

    /// A whole number of 32 bits, at least `minimum`, without exponent or fraction.
    static func isInteger(_ text: Bytes, atLeast minimum: Int) -> Bool {
        var value = 0
        let isNegative = text.first == UInt8(ascii: "-")
        guard text.count <= 11 else { return false }
        for byte in isNegative ? text.dropFirst() : text[...] {
            guard isDigit(byte) else { return false }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        if isNegative { value = -value }
        return value >= max(minimum, Int(Int32.min)) && value <= Int(Int32.max)
    }

    /// A JSON number whose exponent and length the search index can hold.
    static func isDecimal(_ text: Bytes) -> Bool {
        guard text.count <= 2048 else { return false }
        guard let mark = text.firstIndex(where: { $0 | 0x20 == UInt8(ascii: "e") }) else { return true }
        let digits = text[(mark + 1)...].drop { !isDigit($0) }.drop { $0 == UInt8(ascii: "0") }
        return digits.count <= String(DecimalRange.maximumExponent).utf8.count
    }

    @inline(__always) static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }
    @inline(__always) static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }
    @inline(__always)
    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20) &- UInt8(ascii: "a") < 26
    }
    @inline(__always)
    static func isHexadecimal(_ byte: UInt8) -> Bool { isDigit(byte) || (byte | 0x20) &- UInt8(ascii: "a") < 6 }
}

extension PrimitiveType {
    /// What a value must be like, for a message.
    var rule: String {
        switch self {
        case .base64Binary: "a base64Binary is base64 with padding, and not empty"
        case .boolean: "a boolean is true or false"
        case .canonical, .uri, .url: "a \(rawValue) has no white space and is not empty"
        case .code: "a code is not empty and has single spaces only, within"
        case .date: "a date is a real one: YYYY, YYYY-MM or YYYY-MM-DD"
        case .dateTime: "a dateTime is a date, or YYYY-MM-DDThh:mm:ss with Z or an offset"
        case .decimal: "a decimal is a number"
        case .id: "an id is 1 to 64 letters, digits, hyphens and dots"
        case .instant: "an instant is YYYY-MM-DDThh:mm:ss with Z or an offset"
        case .integer: "an integer is a whole number from \(Int32.min) to \(Int32.max), without point and exponent"
        case .markdown, .string:
            "a \(rawValue) has a character that is not white space, and no control characters but tabs and line ends"
        case .oid: "an oid is urn:oid: and numbers with dots between them"
        case .positiveInt: "a positiveInt is a whole number from 1 to \(Int32.max), without point and exponent"
        case .time: "a time is hh:mm:ss"
        case .unsignedInt: "an unsignedInt is a whole number from 0 to \(Int32.max), without point and exponent"
        case .uuid: "a uuid is urn:uuid: and 8-4-4-4-12 hexadecimal digits"
        case .xhtml: "an xhtml is a div of the elements and attributes that narratives may have"
        }
    }
}
