package import NIOCore
package import StrictJSON

/// The two forms of a resource's bytes.
///
/// *Stored* content is what came in with `id` set, `meta.versionId` and `meta.lastUpdated` taken out and a `meta` object that
/// is always there (empty when nothing else is in it). *Served* bytes are the stored ones with version and time at the head of
/// `meta`. Everything else, white space and the text of decimals included, stays as it came.
package enum ResourceBytes {
    /// The served form of stored `content`; `lastUpdated` in microseconds since 1970.
    package static func spliced(content: ByteBuffer, version: Int32, lastUpdated: Int64) -> ByteBuffer {
        content.withUnsafeReadableBytes { stored in
            let slot = metaSlot(in: stored)
            let text = versionText(version, lastUpdated, isFirst: slot.isEmpty)
            var served = ByteBufferAllocator().buffer(capacity: stored.count + text.count)
            served.writeBytes(UnsafeRawBufferPointer(rebasing: stored[..<slot.offset]))
            served.writeBytes(text)
            served.writeBytes(UnsafeRawBufferPointer(rebasing: stored[slot.offset...]))
            return served
        }
    }

    /// Appends the served form of stored `content`, for bundles.
    package static func append(content: ByteBuffer, version: Int32, lastUpdated: Int64, to bytes: inout [UInt8]) {
        content.withUnsafeReadableBytes { stored in
            let slot = metaSlot(in: stored)
            bytes.append(contentsOf: stored[..<slot.offset])
            bytes.append(contentsOf: versionText(version, lastUpdated, isFirst: slot.isEmpty))
            bytes.append(contentsOf: stored[slot.offset...])
        }
    }

    /// The stored form of a resource that a client sent.
    ///
    /// - Parameters:
    ///   - document: A resource whose root is an object with `resourceType`; a `meta`, where there is one, is an object.
    ///   - id: The id that the resource gets.
    ///   - edits: More ranges to replace, outside of `id` and `meta` (references in a transaction).
    /// - Returns: nil when the document is in stored form already.
    package static func stored(
        _ document: JSONDocument, id: String, edits: [(range: Range<Int>, bytes: [UInt8])] = []
    ) -> [UInt8]? {
        var splice = JSONSplice(document)
        for edit in edits { splice.replace(edit.range, with: edit.bytes) }
        let root = document.root
        var end = root.range.lowerBound + 1
        var added: [UInt8] = []
        if let type = root["resourceType"] { end = type.range.upperBound }
        if let node = root["id"] {
            if !node.stringIs(id) || node.range.count != id.utf8.count + 2 { splice.replace(node, with: quoted(id)) }
            end = node.range.upperBound
        } else {
            added += Array(",\"id\":".utf8) + quoted(id)
        }
        if let member = root.members.first(where: { $0.keyIs("meta") }) {
            if member.keyRange.count != 6 { splice.replace(member.keyRange, with: quoted("meta")) }
            splice.edit(
                member.value, removing: ["versionId", "lastUpdated", "_versionId", "_lastUpdated"])
        } else {
            added += Array(",\"meta\":{}".utf8)
        }
        if !added.isEmpty { splice.insert(added, at: end) }
        return splice.isEmpty ? nil : splice.apply()
    }

    private static func quoted(_ text: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.string(text)
        return writer.bytes
    }

    private static func versionText(_ version: Int32, _ lastUpdated: Int64, isFirst: Bool) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(80)
        text.append(contentsOf: "\"versionId\":\"".utf8)
        text.append(contentsOf: String(version).utf8)
        text.append(contentsOf: "\",\"lastUpdated\":\"".utf8)
        FHIRInstant.append(lastUpdated, to: &text)
        text.append(UInt8(ascii: "\""))
        if !isFirst { text.append(UInt8(ascii: ",")) }
        return text
    }

    /// Where version and time go: after the opening brace of the top-level `meta`.
    ///
    /// Relies on stored form (valid JSON, `meta` unescaped and present); on other bytes it stops at their end.
    static func metaSlot(in bytes: UnsafeRawBufferPointer) -> (offset: Int, isEmpty: Bool) {
        var scanner = MemberScanner(bytes: bytes)
        let offset = scanner.findMeta()
        var next = offset
        while next < bytes.count, MemberScanner.isSpace(bytes[next]) { next += 1 }
        return (offset, next < bytes.count && bytes[next] == UInt8(ascii: "}"))
    }
}

/// Walks the members of the top object without an index: for stored content, which was scanned when it came in.
private struct MemberScanner {
    let bytes: UnsafeRawBufferPointer
    var position = 0

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

    mutating func findMeta() -> Int {
        while position < bytes.count, bytes[position] != UInt8(ascii: "{") { position += 1 }
        position += 1
        while position < bytes.count {
            guard bytes[position] == UInt8(ascii: "\"") else {
                position += 1
                continue
            }
            let key = position
            skipString()
            let isMeta =
                position - key == 6 && bytes[key + 1] == UInt8(ascii: "m") && bytes[key + 2] == UInt8(ascii: "e")
                && bytes[key + 3] == UInt8(ascii: "t") && bytes[key + 4] == UInt8(ascii: "a")
            while position < bytes.count, Self.isSpace(bytes[position]) || bytes[position] == UInt8(ascii: ":") {
                position += 1
            }
            if isMeta { return min(position + 1, bytes.count) }
            skipValue()
        }
        return bytes.count
    }

    /// From an opening quote to behind the closing one.
    private mutating func skipString() {
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\"") { return }
            if byte == UInt8(ascii: "\\") { position += 1 }
        }
    }

    private mutating func skipValue() {
        var depth = 0
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                skipString()
                if depth == 0 { return }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                position += 1
                if depth <= 0 { return }
            case UInt8(ascii: ",") where depth == 0:
                return
            default:
                position += 1
            }
        }
    }
}
