/// An identifier by which the region recognises a person: a system and a value that no two people share.
///
/// The rule is narrow on purpose, because a wrong link shows one person's record to those who treat another; see
/// `docs/decisions/0010-patient-index-rule.md`.
package struct PersonIdentifier: Sendable, Hashable, Comparable {
    /// An absolute URI.
    package let system: String
    package let value: String

    /// In the form in which the region keeps it, for looking it up as well.
    ///
    /// - Returns: nil for what identifies nobody: no system or value, a placeholder such as `000000`, a resident identity
    ///   number whose check digit or date is wrong.
    package init?(system: String, value: String) {
        let system = Self.trimmed(system)
        var value = Self.trimmed(value)
        guard Self.isSystem(system), (1...Self.maximumValueBytes).contains(value.utf8.count) else { return nil }
        if system == Self.residentIdentity {
            guard let number = ResidentIdentityNumber(value) else { return nil }
            value = number.text
        }
        guard !Self.isPlaceholder(value) else { return nil }
        self.system = system
        self.value = value
    }

    package static func < (left: PersonIdentifier, right: PersonIdentifier) -> Bool {
        (left.system, left.value) < (right.system, right.value)
    }

    /// 居民身份证, the resident identity card (GB 11643), by its national object identifier.
    package static let residentIdentity = "urn:oid:2.16.156.10011.1.3"
    /// 居民健康卡, the resident health card.
    package static let residentHealthCard = "urn:oid:2.16.156.10011.1.19"

    /// Whether values of a system are given to persons by a state, so that they hold at every institution without being
    /// marked as official.
    static func isNational(_ system: String) -> Bool {
        system == residentIdentity || system == residentHealthCard || system == "http://hl7.org/fhir/sid/us-ssn"
            || system.hasPrefix("http://hl7.org/fhir/sid/passport-")
    }

    static let maximumSystemBytes = 255
    static let maximumValueBytes = 128

    private static func isSystem(_ system: String) -> Bool {
        system.utf8.count <= maximumSystemBytes && system.utf8.dropFirst().contains(UInt8(ascii: ":"))
            && !system.contains(where: \.isWhitespace)
    }

    private static func trimmed(_ text: String) -> String {
        var slice = Substring(text)
        while slice.first?.isWhitespace == true { slice.removeFirst() }
        while slice.last?.isWhitespace == true { slice.removeLast() }
        return String(slice)
    }

    private static let placeholders: Set<String> = [
        "unknown", "none", "null", "nil", "test", "n/a", "na", "not available", "tbd", "xxx", "未知", "不详", "无", "无证件",
    ]

    /// What people write when they have no number: one character again and again, digits in a row, a word.
    static func isPlaceholder(_ value: String) -> Bool {
        let lowered = value.lowercased()
        let telling = lowered.filter { $0.isLetter || $0.isNumber }
        if Set(telling).count < 2 || placeholders.contains(lowered) { return true }
        return telling.count >= 4
            && ("12345678901234567890".hasPrefix(telling) || "01234567890123456789".hasPrefix(telling))
    }
}

/// A number of the resident identity card: 17 digits and a check character by ISO 7064 MOD 11-2 (GB 11643).
struct ResidentIdentityNumber: Sendable, Hashable {
    /// 18 characters, ASCII digits and at the end perhaps `X`.
    let text: String

    /// Takes full-width digits and a small `x` for what they mean.
    ///
    /// - Returns: nil when the length, the check character or the date of birth in it is wrong; the old form of 15 digits has
    ///   no check character and is not taken.
    init?(_ value: String) {
        let characters = value.unicodeScalars.map { scalar in
            (0xFF01...0xFF5E).contains(scalar.value) ? UInt32(scalar.value - 0xFEE0) : scalar.value
        }
        guard characters.count == 18 else { return nil }
        var digits: [Int] = []
        for character in characters.prefix(17) {
            guard (48...57).contains(character) else { return nil }
            digits.append(Int(character) - 48)
        }
        let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
        let sum = zip(digits, weights).reduce(0) { $0 + $1.0 * $1.1 }
        let expected = Array("10X98765432".unicodeScalars)[sum % 11].value
        let last = characters[17] == 0x78 ? 0x58 : characters[17]
        guard last == expected else { return nil }
        text = String(String.UnicodeScalarView((characters.prefix(17) + [last]).compactMap(Unicode.Scalar.init)))
        guard Self.isDate(year: number(6, 10), month: number(10, 12), day: number(12, 14)) else { return nil }
    }

    /// The date of birth in it, as FHIR writes dates.
    var birthDate: String {
        let characters = Array(text)
        return String(characters[6..<10]) + "-" + String(characters[10..<12]) + "-" + String(characters[12..<14])
    }

    private func number(_ from: Int, _ to: Int) -> Int {
        Int(String(Array(text)[from..<to])) ?? 0
    }

    private static func isDate(year: Int, month: Int, day: Int) -> Bool {
        guard year >= 1800, (1...12).contains(month) else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
        return (1...days).contains(day)
    }
}
