/// Percent-encoding (RFC 3986 §2.1) and `application/x-www-form-urlencoded`, strictly: what cannot be decoded is an
/// error, never passed on as it is.
package enum PercentCoding {
    /// Why text could not be decoded.
    package enum Failure: Error, Sendable, Hashable, CustomStringConvertible {
        /// `%` without two hexadecimal digits.
        case brokenEscape
        /// The decoded bytes are not UTF-8.
        case invalidUTF8
        /// U+0000, or another control character that no name or value of ours holds.
        case controlCharacter

        /// A clause for people.
        package var description: String {
            switch self {
            case .brokenEscape: "a '%' is not followed by two hexadecimal digits"
            case .invalidUTF8: "it is not UTF-8"
            case .controlCharacter: "it has a control character"
            }
        }
    }

    /// Decodes one part. `plusIsSpace` is for query strings and forms.
    package static func decode(
        _ encoded: some Collection<UInt8>, plusIsSpace: Bool
    ) throws(Failure) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(encoded.count)
        var index = encoded.startIndex
        while index != encoded.endIndex {
            let byte = encoded[index]
            encoded.formIndex(after: &index)
            var decoded = byte
            if byte == UInt8(ascii: "%") {
                guard index != encoded.endIndex, let high = nibble(encoded[index]) else { throw .brokenEscape }
                encoded.formIndex(after: &index)
                guard index != encoded.endIndex, let low = nibble(encoded[index]) else { throw .brokenEscape }
                encoded.formIndex(after: &index)
                decoded = high << 4 | low
            } else if plusIsSpace, byte == UInt8(ascii: "+") {
                decoded = UInt8(ascii: " ")
            }
            // Tabs and line ends may stand in form values; nothing else below U+0020 may.
            let isLineSpace = decoded == 9 || decoded == 10 || decoded == 13
            guard decoded >= 0x20 || (plusIsSpace && isLineSpace), decoded != 0x7F else { throw .controlCharacter }
            bytes.append(decoded)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .invalidUTF8 }
        return text
    }

    /// Encodes everything but unreserved characters (RFC 3986 §2.3), so that the result fits any place of a URL.
    package static func encode(_ text: some StringProtocol) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                bytes.append(UInt8(ascii: "%"))
                bytes.append(hexadecimal[Int(byte >> 4)])
                bytes.append(hexadecimal[Int(byte & 15)])
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static let hexadecimal: [UInt8] = Array("0123456789ABCDEF".utf8)

    private static func nibble(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
