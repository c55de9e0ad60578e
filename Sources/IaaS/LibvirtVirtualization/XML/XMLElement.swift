/// An element that we hand to libvirt. Names are literals of our source; everything else is escaped, so no value can end an
/// attribute or an element.
struct XMLElement: Sendable {
    private enum Content: Sendable {
        case elements([XMLElement])
        case text(String)
    }

    private let name: StaticString
    private let attributes: [(name: StaticString, value: String)]
    private let content: Content

    init(_ name: StaticString, _ attributes: KeyValuePairs<StaticString, String> = [:], _ elements: [XMLElement] = []) {
        self.name = name
        self.attributes = attributes.map { ($0.key, $0.value) }
        content = .elements(elements)
    }

    init(_ name: StaticString, _ attributes: KeyValuePairs<StaticString, String> = [:], text: String) {
        self.name = name
        self.attributes = attributes.map { ($0.key, $0.value) }
        content = .text(text)
    }

    /// The document.
    var serialized: String {
        var output = ""
        write(to: &output)
        return output
    }

    private func write(to output: inout String) {
        output += "<\(name)"
        for attribute in attributes { output += " \(attribute.name)='\(Self.escaped(attribute.value))'" }
        switch content {
        case .elements(let elements) where elements.isEmpty:
            output += "/>"
            return
        case .elements(let elements):
            output += ">"
            for element in elements { element.write(to: &output) }
        case .text(let text):
            output += ">" + Self.escaped(text)
        }
        output += "</\(name)>"
    }

    /// `text` as it may stand between tags or in an attribute. What XML 1.0 has no way to write ("Char ::= #x9 | #xA | #xD |
    /// [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]") becomes U+FFFD.
    static func escaped(_ text: String) -> String {
        var output = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": output.append(contentsOf: "&amp;".unicodeScalars)
            case "<": output.append(contentsOf: "&lt;".unicodeScalars)
            case ">": output.append(contentsOf: "&gt;".unicodeScalars)
            case "'": output.append(contentsOf: "&apos;".unicodeScalars)
            case "\"": output.append(contentsOf: "&quot;".unicodeScalars)
            // As references, since attributes lose line ends and tabs otherwise.
            case "\t": output.append(contentsOf: "&#9;".unicodeScalars)
            case "\n": output.append(contentsOf: "&#10;".unicodeScalars)
            case "\r": output.append(contentsOf: "&#13;".unicodeScalars)
            case "\u{0}"..<" ", "\u{FFFE}", "\u{FFFF}": output.append("\u{FFFD}")
            default: output.append(scalar)
            }
        }
        return String(output)
    }
}
