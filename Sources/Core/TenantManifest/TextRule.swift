/// What a text of a manifest may consist of. Whatever could reach SQL, XML, a path or a shell is a plain word by rule; it is
/// still never put into any of them but as a bound value.
package struct TextRule: Sendable {
    /// "must be …"
    package let sentence: String
    private let allows: @Sendable (String) -> Bool

    private init(_ sentence: String, _ allows: @escaping @Sendable (String) -> Bool) {
        self.sentence = sentence
        self.allows = allows
    }

    package func allows(_ text: String) -> Bool { allows(text) }

    private static func isLower(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
    private static func isUpper(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    private static func isWord(_ byte: UInt8) -> Bool { isLower(byte) || isUpper(byte) || isDigit(byte) }

    private static func isLabel(_ text: some StringProtocol, upTo limit: Int) -> Bool {
        let bytes = Array(text.utf8)
        guard (1...limit).contains(bytes.count), let first = bytes.first, let last = bytes.last else { return false }
        return isLower(first) && last != UInt8(ascii: "-")
            && bytes.allSatisfy { isLower($0) || isDigit($0) || $0 == UInt8(ascii: "-") }
    }

    /// Networks and instances: also a host name.
    package static let resourceName = TextRule(
        "a lower-case letter, then up to 30 letters, digits or hyphens, not ending in a hyphen"
    ) { isLabel($0, upTo: 31) }

    /// Base images: `probe`, `debian-12`.
    package static let imageName = TextRule(
        "a lower-case letter, then up to 62 letters, digits, hyphens or full stops, not ending in either"
    ) { text in
        guard let first = text.utf8.first, let last = text.utf8.last, text.utf8.count <= 63 else { return false }
        return isLower(first) && (isLower(last) || isDigit(last))
            && text.utf8.allSatisfy { isLower($0) || isDigit($0) || "-.".utf8.contains($0) }
    }

    /// As `control.client` has it.
    package static let clientID = TextRule(
        "a letter or digit, then up to 63 letters, digits, full stops, hyphens or underscores"
    ) { text in
        let bytes = Array(text.utf8)
        guard (1...64).contains(bytes.count), let first = bytes.first else { return false }
        return isWord(first) && bytes.allSatisfy { isWord($0) || ".-_".utf8.contains($0) }
    }

    package static let labelKey = TextRule(
        "a lower-case letter, then up to 62 letters, digits or hyphens, not ending in a hyphen"
    ) { isLabel($0, upTo: 63) }

    package static let labelValue = TextRule("up to 63 letters, digits, full stops, hyphens or underscores") { text in
        text.utf8.count <= 63 && text.utf8.allSatisfy { isWord($0) || ".-_".utf8.contains($0) }
    }

    /// What people call something. Joiners and marks of direction belong to how names are written; what turns the order of
    /// other text around does not.
    package static let displayName = TextRule(
        "1 to 200 characters, not all of them spaces, without control characters, line ends or changes of direction"
    ) { text in
        (1...200).contains(text.unicodeScalars.count)
            && text.unicodeScalars.allSatisfy { scalar in
                switch scalar.value {
                case 0...0x1F, 0x7F...0x9F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: false
                default: true
                }
            }
            && text.unicodeScalars.contains {
                !$0.properties.isWhitespace && $0.properties.generalCategory != .format
            }
    }

    /// The form of an IANA name; whether there is such a zone is for a database of zones to say.
    package static let timeZone = TextRule("an IANA name such as Asia/Shanghai, or UTC") { text in
        if text == "UTC" { return true }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (2...3).contains(parts.count), text.utf8.count <= 64 else { return false }
        return parts.enumerated().allSatisfy { index, part in
            guard part.utf8.count >= 2, let first = part.utf8.first, isUpper(first) else { return false }
            return part.utf8.dropFirst().allSatisfy { byte in
                isLower(byte) || isUpper(byte) || byte == UInt8(ascii: "_")
                    || index > 0 && (isDigit(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-"))
            }
        }
    }

    /// BCP 47.
    package static let language = TextRule("a BCP 47 tag such as en, de or zh-Hans") { text in
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard let primary = parts.first, (2...3).contains(primary.utf8.count), primary.utf8.allSatisfy(isLower),
            parts.count <= 4
        else { return false }
        return parts.dropFirst().allSatisfy { (2...8).contains($0.utf8.count) && $0.utf8.allSatisfy(isWord) }
    }

    /// A web origin (RFC 6454) as browsers write it.
    package static let origin = TextRule("an origin such as https://portal.example or http://localhost:8080") { text in
        guard text.utf8.count <= 255, let scheme = ["https://", "http://"].first(where: { text.hasPrefix($0) }) else {
            return false
        }
        let parts = text.dropFirst(scheme.count).split(separator: ":", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let host = parts.first, !host.isEmpty else { return false }
        let isHost = host.utf8.allSatisfy { isLower($0) || isDigit($0) || ".-".utf8.contains($0) }
        return isHost && (parts.count == 1 || UInt16(parts[1]) != nil)
    }

    package static let keySetURL = TextRule("an https address of at most 2000 characters without spaces") { text in
        text.hasPrefix("https://") && (9...2000).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"\"<>\\^`{|}".utf8.contains($0) }
    }

    /// The path that a probe asks for.
    package static let probePath = TextRule("a path of at most 200 characters that begins with /, without spaces") {
        text in
        text.hasPrefix("/") && text.utf8.count <= 200
            && text.utf8.allSatisfy { isWord($0) || "/-._~%?=&,:@+".utf8.contains($0) }
    }
}
