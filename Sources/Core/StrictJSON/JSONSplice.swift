// Changing a document without decoding it.

/// A set of edits to a document, applied in one pass; everything that is not edited stays byte for byte.
///
/// Edits may be recorded in any order but must not overlap. Several insertions at one place keep their order.
package struct JSONSplice: Sendable {
    private struct Edit: Sendable {
        let range: Range<Int>
        let bytes: [UInt8]
    }

    private let document: JSONDocument
    private var edits: [Edit] = []

    package init(_ document: JSONDocument) { self.document = document }

    package var isEmpty: Bool { edits.isEmpty }

    /// Puts other bytes in the place of a range.
    package mutating func replace(_ range: Range<Int>, with bytes: [UInt8]) {
        edits.append(Edit(range: range, bytes: bytes))
    }

    /// Puts another value in the place of a value.
    package mutating func replace(_ node: JSONNode, with value: [UInt8]) { replace(node.range, with: value) }

    /// Puts bytes before the byte at `offset`.
    package mutating func insert(_ bytes: [UInt8], at offset: Int) { replace(offset..<offset, with: bytes) }

    /// Takes a range out.
    package mutating func remove(_ range: Range<Int>) { replace(range, with: []) }

    /// Removes and sets members of one object, commas included. Call it once for each object.
    ///
    /// - Parameters:
    ///   - removed: Keys to remove; a key that is not there is ignored.
    ///   - members: Keys with the JSON text of their values. An existing member keeps its place, a new one comes last.
    package mutating func edit(
        _ object: JSONNode, removing removed: [String] = [], setting members: [(key: String, value: [UInt8])] = []
    ) {
        var missing = members
        var keptEnd: Int?
        let existing = Array(object.members)
        for (position, member) in existing.enumerated() {
            if removed.contains(where: member.keyIs) {
                if let keptEnd {
                    remove(keptEnd..<member.value.range.upperBound)
                } else {
                    let isLast = position + 1 == existing.count
                    let end = isLast ? member.value.range.upperBound : existing[position + 1].keyRange.lowerBound
                    remove(member.keyRange.lowerBound..<end)
                }
                // The next removed member starts where this one ended.
                if keptEnd != nil { keptEnd = member.value.range.upperBound }
                continue
            }
            keptEnd = member.value.range.upperBound
            if let index = missing.firstIndex(where: { member.keyIs($0.key) }) {
                replace(member.value, with: missing.remove(at: index).value)
            }
        }
        guard !missing.isEmpty else { return }
        var writer = JSONWriter()
        writer.object { for member in missing { $0.member(member.key, raw: member.value) } }
        let text = Array(writer.bytes.dropFirst().dropLast())
        insert(keptEnd == nil ? text : [UInt8(ascii: ",")] + text, at: object.range.upperBound - 1)
    }

    /// The edited bytes. They are JSON when the edits were; scan them again when the new values came from outside.
    package func apply() -> [UInt8] {
        let bytes = document.bytes
        guard !edits.isEmpty else { return bytes }
        let ordered = edits.enumerated().sorted {
            ($0.element.range.lowerBound, $0.offset) < ($1.element.range.lowerBound, $1.offset)
        }
        var result: [UInt8] = []
        result.reserveCapacity(edits.reduce(bytes.count) { $0 + $1.bytes.count })
        var position = 0
        for (_, edit) in ordered {
            precondition(edit.range.lowerBound >= position, "edits overlap")
            result.append(contentsOf: bytes[position..<edit.range.lowerBound])
            result.append(contentsOf: edit.bytes)
            position = edit.range.upperBound
        }
        result.append(contentsOf: bytes[position...])
        return result
    }
}
