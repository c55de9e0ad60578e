// How strings are made comparable regardless of case and accents.

/// Folds text for search: canonical decomposition, no accents, no case (`ops/definitions/folding.py`).
///
/// FHIR string search is "case-insensitive and accent-insensitive" (https://hl7.org/fhir/R4/search.html#string).
package enum TextFolding {
    /// The folded text. Han characters, also rare ones, stay as they are.
    package static func folded(_ text: String) -> String {
        var text = text
        return text.withUTF8 { folded($0) }
    }

    /// The folded text of UTF-8 bytes that are known to be valid.
    static func folded(_ text: UnsafeBufferPointer<UInt8>) -> String {
        guard text.contains(where: { $0 >= 0x80 }) else {
            return String(unsafeUninitializedCapacity: text.count) { result in
                for (index, byte) in text.enumerated() { result.initializeElement(at: index, to: lowercased(byte)) }
                return text.count
            }
        }
        var result = String.UnicodeScalarView()
        for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
            if scalar.isASCII {
                result.append(Unicode.Scalar(lowercased(UInt8(scalar.value))))
            } else if scalar.value >= 0xAC00, scalar.value <= 0xD7A3 {
                appendHangul(scalar.value, to: &result)
            } else if let replacement = replacements[scalar.value] {
                result.append(contentsOf: replacement)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    @inline(__always)
    private static func lowercased(_ byte: UInt8) -> UInt8 {
        byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
    }

    /// The arithmetic decomposition of chapter 3.12 of the Unicode standard.
    private static func appendHangul(_ syllable: UInt32, to result: inout String.UnicodeScalarView) {
        let index = syllable - 0xAC00
        let parts = [0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11A7 + index % 28]
        for part in parts where part != 0x11A7 {
            if let scalar = Unicode.Scalar(part) { result.append(scalar) }
        }
    }

    private static let replacements: [UInt32: [Unicode.Scalar]] = {
        var table: [UInt32: [Unicode.Scalar]] = [:]
        table.reserveCapacity(5000)
        for line in StaticText(FoldingTable.text).split(UInt8(ascii: "\n")) {
            let scalars = line.split(UInt8(ascii: " ")).compactMap { UInt32($0.string, radix: 16) }
            table[scalars[0]] = scalars.dropFirst().compactMap { Unicode.Scalar($0) }
        }
        return table
    }()
}
