// The XHTML of a narrative.

/// Checks `Narrative.div`: one well-nested `div` with content and nothing that runs or loads by itself.
///
/// "The XHTML content SHALL NOT contain a head, a body element, external stylesheet references, deprecated elements,
/// scripts, forms, base/link/xlink, frames, iframes, objects or event related attributes (e.g. onClick)"
/// (https://hl7.org/fhir/R4/narrative.html). This is no sanitizer: who shows a narrative still treats it as foreign.
enum NarrativeFormat {
    private static let forbidden: Set<String> = [
        "applet", "base", "body", "button", "embed", "form", "frame", "frameset", "head", "html", "iframe", "input",
        "link", "math", "meta", "noscript", "object", "script", "select", "style", "svg", "textarea",
    ]

    static func isSafe(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        var reader = MarkupReader(text)
        var open: [String] = []
        var hasContent = false
        reader.skipSpace()
        guard reader.peek() == UInt8(ascii: "<") else { return false }
        while !reader.isAtEnd {
            guard reader.peek() == UInt8(ascii: "<") else {
                let isBlank = reader.skipText()
                if !isBlank {
                    // Text outside of the one div.
                    guard !open.isEmpty else { return false }
                    hasContent = true
                }
                continue
            }
            switch reader.tag() {
            case .comment: continue
            case .open(let name, let isEmpty):
                guard !forbidden.contains(name) else { return false }
                if open.isEmpty {
                    guard name == "div", !isEmpty else { return false }
                } else if name == "img" {
                    // "…SHALL have some non-whitespace content (text or an image)"
                    hasContent = true
                }
                if !isEmpty { open.append(name) }
                guard open.count <= 256 else { return false }
            case .close(let name):
                guard open.popLast() == name else { return false }
                if open.isEmpty {
                    reader.skipSpace()
                    return hasContent && reader.isAtEnd
                }
            case nil: return false
            }
        }
        return false
    }
}

/// Reads tags; nil means that it is not the XHTML we accept.
private struct MarkupReader {
    enum Tag {
        case open(String, isEmpty: Bool)
        case close(String)
        case comment
    }

    private let text: UnsafeBufferPointer<UInt8>
    private var position = 0

    init(_ text: UnsafeBufferPointer<UInt8>) { self.text = text }

    var isAtEnd: Bool { position >= text.count }

    func peek() -> UInt8 { position < text.count ? text[position] : 0 }

    mutating func skipSpace() {
        while position < text.count, PrimitiveFormat.isSpace(text[position]) { position += 1 }
    }

    /// Skips to the next tag and says whether there was only white space.
    mutating func skipText() -> Bool {
        var isBlank = true
        while position < text.count, text[position] != UInt8(ascii: "<") {
            if !PrimitiveFormat.isSpace(text[position]) { isBlank = false }
            position += 1
        }
        return isBlank
    }

    mutating func tag() -> Tag? {
        position += 1
        if skip("!--") { return comment() }
        let isClosing = skip("/")
        guard let name = name() else { return nil }
        if isClosing {
            skipSpace()
            return skip(">") ? .close(name) : nil
        }
        while true {
            let before = position
            skipSpace()
            if skip("/>") { return .open(name, isEmpty: true) }
            if skip(">") { return .open(name, isEmpty: false) }
            guard position > before, attribute() else { return nil }
        }
    }

    private mutating func comment() -> Tag? {
        while position < text.count {
            if skip("-->") { return .comment }
            position += 1
        }
        return nil
    }

    /// `name="value"`, neither an event handler nor an address that runs.
    private mutating func attribute() -> Bool {
        guard let name = name(), !name.hasPrefix("on"), !name.hasPrefix("xlink") else { return false }
        skipSpace()
        guard skip("=") else { return false }
        skipSpace()
        let quote = peek()
        guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { return false }
        position += 1
        let start = position
        while position < text.count, text[position] != quote {
            if text[position] == UInt8(ascii: "<") { return false }
            position += 1
        }
        guard position < text.count else { return false }
        let value = text[start..<position]
        position += 1
        guard name == "href" || name == "src" else { return true }
        return Self.isHarmless(value)
    }

    /// Whether an address has none of the schemes that run. An entity could hide a colon, so there is none before the
    /// address has shown what it is.
    private static func isHarmless(_ address: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        guard let mark = address.firstIndex(where: { ":/?#&".utf8.contains($0) }) else { return true }
        guard address[mark] == UInt8(ascii: ":") else { return address[mark] != UInt8(ascii: "&") }
        let scheme = String(decoding: address[..<mark], as: UTF8.self).lowercased()
        return ["http", "https", "mailto", "tel", "urn", "cid"].contains(scheme)
            || (scheme == "data" && address[mark...].starts(with: ":image/".utf8))
    }

    /// A name in lower case.
    private mutating func name() -> String? {
        let start = position
        while position < text.count {
            let byte = text[position]
            guard PrimitiveFormat.isAlphanumeric(byte) || byte == 0x2D || byte == 0x3A || byte == 0x5F else { break }
            position += 1
        }
        guard position > start else { return nil }
        return String(decoding: text[start..<position], as: UTF8.self).lowercased()
    }

    private mutating func skip(_ token: StaticString) -> Bool {
        let count = token.utf8CodeUnitCount
        guard position + count <= text.count else { return false }
        for offset in 0..<count where text[position + offset] != token.utf8Start[offset] { return false }
        position += count
        return true
    }
}
