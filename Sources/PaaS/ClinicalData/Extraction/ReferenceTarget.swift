// What the text of a reference points at.

/// Where a reference, a canonical or a query value leads.
package enum ReferenceTarget: Sendable, Hashable {
    /// A resource of this server.
    case local(ResourceType, id: String)
    /// Anything else: another server's resource, a canonical, a `urn:`, a contained `#id`. Without `/_history/…`.
    case other(String)

    /// Reads `Type/id`, `Type/id/_history/v`, and both after `baseURL`, as local; the rest as other.
    package init(_ text: String, baseURL: String) {
        var text = text
        var base = baseURL
        self = text.withUTF8 { text in base.withUTF8 { ReferenceTarget(text, base: $0) } }
    }

    init(_ text: UnsafeBufferPointer<UInt8>, base: UnsafeBufferPointer<UInt8>) {
        let parts = ReferenceText(text, base: base)
        if parts.isLocal, let type = parts.type, let id = parts.id {
            self = .local(type, id: String(decoding: id, as: UTF8.self))
        } else {
            self = .other(String(decoding: text[..<parts.end], as: UTF8.self))
        }
    }
}

/// The parts of a reference's text.
struct ReferenceText {
    /// Relative, or absolute under the own base.
    let isLocal: Bool
    /// The type that the text names, local or not: the last but one segment. Nil when that is no type.
    let type: ResourceType?
    /// The id after the type.
    let id: Slice<UnsafeBufferPointer<UInt8>>?
    /// Where the text ends without `/_history/…`.
    let end: Int

    init(_ text: UnsafeBufferPointer<UInt8>, base: UnsafeBufferPointer<UInt8>) {
        let slash = UInt8(ascii: "/")
        var start = 0
        var isLocal = true
        if !base.isEmpty, text.count > base.count, text[base.count] == slash,
            base.elementsEqual(text[..<base.count])
        {
            start = base.count + 1
        } else if text.contains(UInt8(ascii: ":")) || text.first == UInt8(ascii: "#") {
            isLocal = false
        }
        // From the end: id, type, or version, "_history", id, type.
        var slashes: [Int] = []
        var position = text.count
        while position > start, slashes.count < 4 {
            position -= 1
            if text[position] == slash { slashes.append(position) }
        }
        var end = text.count
        if slashes.count >= 2, text[slashes[1] + 1..<slashes[0]].elementsEqual("_history".utf8) {
            end = slashes[1]
            slashes.removeFirst(2)
        }
        self.isLocal = isLocal && slashes.count < 2
        self.end = end
        guard let beforeID = slashes.first else {
            (type, id) = (nil, nil)
            return
        }
        let beforeType = slashes.count > 1 ? slashes[1] + 1 : start
        let name = UnsafeBufferPointer(rebasing: text[beforeType..<beforeID])
        let id = text[beforeID + 1..<end]
        type = PrimitiveFormat.isID(UnsafeBufferPointer(rebasing: id)) ? Definitions.r4.resourceType(named: name) : nil
        self.id = type == nil ? nil : id
    }
}
