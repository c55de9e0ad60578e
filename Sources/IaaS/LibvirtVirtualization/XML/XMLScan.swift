/// Reads the documents that libvirt writes: elements with their path, attributes and text, in document order. No more of XML
/// than libvirt's writer produces; what does not look like that is left out.
struct XMLScan {
    struct Element: Equatable {
        /// From the document's element down, as `network/ip/dhcp/host`.
        var path: String
        var attributes: [String: String]
        var text: String
    }

    private(set) var elements: [Element] = []

    init(_ document: String) {
        var open: [Int] = []
        var rest = Substring(document)
        while let start = rest.firstIndex(of: "<") {
            if let current = open.last { elements[current].text += Self.unescaped(rest[..<start]) }
            rest = rest[start...]
            if rest.hasPrefix("<!--") {
                guard let end = rest.firstRange(of: "-->") else { return }
                rest = rest[end.upperBound...]
                continue
            }
            guard let end = rest.firstIndex(of: ">") else { return }
            let tag = rest[rest.index(after: start)..<end]
            rest = rest[rest.index(after: end)...]
            if tag.hasPrefix("?") || tag.hasPrefix("!") { continue }
            if tag.hasPrefix("/") {
                _ = open.popLast()
                continue
            }
            let isClosed = tag.hasSuffix("/")
            let (name, attributes) = Self.read(isClosed ? tag.dropLast() : tag)
            let path = open.last.map { elements[$0].path + "/" + name } ?? name
            elements.append(Element(path: path, attributes: attributes, text: ""))
            if !isClosed { open.append(elements.count - 1) }
        }
    }

    func all(_ path: String) -> [Element] { elements.filter { $0.path == path } }
    func first(_ path: String) -> Element? { elements.first { $0.path == path } }

    private static func read(_ tag: Substring) -> (name: String, attributes: [String: String]) {
        let name = tag.prefix { !$0.isWhitespace }
        var attributes: [String: String] = [:]
        var rest = tag[name.endIndex...]
        while let equals = rest.firstIndex(of: "=") {
            let key = rest[..<equals].filter { !$0.isWhitespace }
            rest = rest[rest.index(after: equals)...]
            guard let quote = rest.first, quote == "'" || quote == "\"" else { break }
            rest = rest.dropFirst()
            guard let end = rest.firstIndex(of: quote) else { break }
            attributes[key] = unescaped(rest[..<end])
            rest = rest[rest.index(after: end)...]
        }
        return (String(name), attributes)
    }

    private static func unescaped(_ text: Substring) -> String {
        guard text.contains("&") else { return String(text) }
        var output = String(text)
        for (reference, character) in [
            ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#9;", "\t"), ("&#10;", "\n"),
            ("&#13;", "\r"), ("&amp;", "&"),
        ] {
            output.replace(reference, with: character)
        }
        return output
    }
}
