// Decimals as ranges, without floating point.

/// The numbers that a decimal stands for, as its significant digits say: `low` ≤ x < `high`, as decimal text.
///
/// "100 … to 3 significant figures precision, so this is actually searching for values in the range [99.5 … 100.5)"
/// (https://hl7.org/fhir/R4/search.html#number).
package struct DecimalRange: Sendable, Hashable {
    /// "-Infinity" when open.
    package var low: String
    /// "Infinity" when open.
    package var high: String

    /// Exponents beyond this are refused: no measured value needs them, and Postgres' `numeric` ends at 131072 digits.
    package static let maximumExponent = 999

    package init(low: String, high: String) {
        self.low = low
        self.high = high
    }

    /// Reads a decimal such as `5.40e-3`; nil when it is none or its exponent is beyond `maximumExponent`.
    package init?(_ text: String) {
        var text = text
        guard let decimal = text.withUTF8({ WrittenDecimal($0) }) else { return nil }
        self = decimal.range
    }
}

/// A decimal as it was written: sign, digits and where the point is.
package struct WrittenDecimal: Sendable {
    package let isNegative: Bool
    /// Without leading zeros, at least one.
    let digits: [UInt8]
    /// The number is `digits` · 10^`exponent`.
    let exponent: Int
    /// How much finer than the last digit the precision is taken, as a power of ten.
    private let refinement: Int

    package init?(_ text: UnsafeBufferPointer<UInt8>) {
        var position = 0
        func peek() -> UInt8 { position < text.count ? text[position] : 0 }
        isNegative = peek() == UInt8(ascii: "-")
        if isNegative || peek() == UInt8(ascii: "+") { position += 1 }
        var digits: [UInt8] = []
        var exponent = 0
        var hasPoint = false
        var count = 0
        while position < text.count {
            let byte = text[position]
            if byte &- UInt8(ascii: "0") < 10 {
                if byte != UInt8(ascii: "0") || !digits.isEmpty { digits.append(byte) }
                if hasPoint { exponent -= 1 }
                count += 1
            } else if byte == UInt8(ascii: "."), !hasPoint {
                hasPoint = true
            } else {
                break
            }
            position += 1
        }
        guard count > 0 else { return nil }
        let hasExponent = peek() | 0x20 == UInt8(ascii: "e")
        if hasExponent {
            position += 1
            let isNegativeExponent = peek() == UInt8(ascii: "-")
            if isNegativeExponent || peek() == UInt8(ascii: "+") { position += 1 }
            var value = 0
            let first = position
            while peek() &- UInt8(ascii: "0") < 10, value <= DecimalRange.maximumExponent {
                value = value * 10 + Int(peek() - UInt8(ascii: "0"))
                position += 1
            }
            guard position > first, value <= DecimalRange.maximumExponent else { return nil }
            exponent += isNegativeExponent ? -value : value
        }
        guard position == text.count, digits.count <= 2048 else { return nil }
        self.digits = digits.isEmpty ? [UInt8(ascii: "0")] : digits
        self.exponent = exponent
        // The specification's own example takes 1e2 as [95, 105).
        refinement = hasExponent && count == 1 ? 1 : 0
    }

    /// The exact value.
    package var text: String { Self.plain(digits, exponent, isNegative && digits != [UInt8(ascii: "0")]) }

    /// Half a unit of the last significant digit to both sides.
    package var range: DecimalRange {
        let refined = digits + [UInt8](repeating: UInt8(ascii: "0"), count: refinement)
        let exponent = exponent - refinement - 1
        let five = UInt8(ascii: "5")
        let outer = Self.plain(Self.trimmed(refined + [five]), exponent, isNegative)
        guard digits != [UInt8(ascii: "0")] else {
            return DecimalRange(low: Self.plain([five], exponent, true), high: Self.plain([five], exponent, false))
        }
        let inner = Self.plain(Self.trimmed(Self.decremented(refined) + [five]), exponent, isNegative)
        return isNegative ? DecimalRange(low: outer, high: inner) : DecimalRange(low: inner, high: outer)
    }

    /// One less; the number is not zero.
    private static func decremented(_ digits: [UInt8]) -> [UInt8] {
        var digits = digits
        var index = digits.count - 1
        while digits[index] == UInt8(ascii: "0") {
            digits[index] = UInt8(ascii: "9")
            index -= 1
        }
        digits[index] -= 1
        return digits
    }

    private static func trimmed(_ digits: [UInt8]) -> [UInt8] {
        let rest = digits.drop { $0 == UInt8(ascii: "0") }
        return rest.isEmpty ? [UInt8(ascii: "0")] : Array(rest)
    }

    private static func plain(_ digits: [UInt8], _ exponent: Int, _ isNegative: Bool) -> String {
        var result: [UInt8] = isNegative ? [UInt8(ascii: "-")] : []
        let zero = UInt8(ascii: "0")
        if exponent >= 0 {
            result += digits
            if digits != [zero] { result += repeatElement(zero, count: exponent) }
        } else if digits.count > -exponent {
            result += digits.dropLast(-exponent)
            result.append(UInt8(ascii: "."))
            result += digits.suffix(-exponent)
        } else {
            result += [zero, UInt8(ascii: ".")]
            result += repeatElement(zero, count: -exponent - digits.count)
            result += digits
        }
        return String(decoding: result, as: UTF8.self)
    }
}
