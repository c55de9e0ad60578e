// A validated document and the values in it.

/// Bytes that are known to be strict JSON, and an index of the values in them.
///
/// Scanning happens once, in `init`; everything after reads the index. The bytes are kept as they came.
package struct JSONDocument: Sendable {
    let storage: JSONStorage

    /// Scans `bytes`.
    ///
    /// - Throws: `JSONError` with the offset and the path of the first violation.
    package init(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
        storage = try JSONStorage(bytes, limits)
    }

    /// The document as it came.
    package var bytes: [UInt8] { storage.bytes }

    /// The one top value.
    package var root: JSONNode { JSONNode(storage: storage, index: 0) }

    /// Gives `body` a view without reference counting; the root is entry 0. The view must not leave `body`.
    package func withTape<R, E: Error>(_ body: (JSONTape) throws(E) -> R) throws(E) -> R {
        try storage.withTape(body)
    }
}

/// What all nodes of a document share.
///
/// `@unchecked Sendable`: `bytes` and `entries` are written in `init` only, and `entries` is freed in `deinit`.
final class JSONStorage: @unchecked Sendable {
    let bytes: [UInt8]
    let entries: UnsafeMutablePointer<JSONEntry>
    let count: Int

    init(_ bytes: [UInt8], _ limits: JSONLimits) throws(JSONError) {
        self.bytes = bytes
        guard bytes.count <= limits.maximumBytes, bytes.count <= Int(Int32.max) else {
            throw JSONError(code: .tooLarge, offset: limits.maximumBytes, path: "")
        }
        let outcome = bytes.withUnsafeBufferPointer { Self.scan($0, limits) }
        (entries, count) = try outcome.get()
    }

    deinit { entries.deallocate() }

    private static func scan(
        _ buffer: UnsafeBufferPointer<UInt8>, _ limits: JSONLimits
    ) -> Result<(UnsafeMutablePointer<JSONEntry>, Int), JSONError> {
        guard let base = buffer.baseAddress, !buffer.isEmpty else {
            return .failure(JSONError(code: .malformed, offset: 0, path: ""))
        }
        var scanner = JSONScanner(buffer, bytes: base, limits: limits)
        do throws(JSONScanner.Failure) {
            try scanner.scan()
            return .success(scanner.takeTape())
        } catch {
            return .failure(JSONError(code: error.code, offset: error.offset, path: scanner.path()))
        }
    }

    func withTape<R, E: Error>(_ body: (JSONTape) throws(E) -> R) throws(E) -> R {
        try bytes.withUnsafeBufferPointer { buffer throws(E) -> R in
            // A scanned document has at least one byte, so there is always a base address.
            guard let base = buffer.baseAddress else { preconditionFailure("a document cannot be empty") }
            return try body(JSONTape(bytes: base, entries: entries))
        }
    }
}

/// One value of a document. Keeps the document alive.
package struct JSONNode: Sendable {
    let storage: JSONStorage
    /// The entry on the tape, for use with `JSONDocument.withTape`.
    package let index: Int

    private var entry: JSONEntry { storage.entries[index] }

    package var kind: JSONKind { entry.kind }

    /// The document that this value is part of.
    package var document: JSONDocument { JSONDocument(storage) }

    /// Where the value stands in the document, quotes included.
    package var range: Range<Int> { Int(entry.start)..<Int(entry.end) }

    /// The value as it stands in the document.
    package var rawBytes: ArraySlice<UInt8> { storage.bytes[range] }

    /// Members of an object, elements of an array, 0 of anything else.
    package var count: Int { entry.count }

    /// The value of a member; nil when there is none or this is not an object. Linear in the number of members.
    package subscript(_ key: String) -> JSONNode? {
        storage.withTape { $0.member(index, key) }.map { JSONNode(storage: storage, index: $0) }
    }

    /// The members of an object in document order; empty for anything else.
    package var members: JSONMembers { JSONMembers(node: self) }

    /// The elements of an array in document order; empty for anything else.
    package var elements: JSONElements { JSONElements(node: self) }

    /// The unescaped text of a string; nil for anything else.
    package var string: String? { kind == .string ? storage.withTape { $0.string(index) } : nil }

    /// Whether this is a string with this text.
    package func stringIs(_ text: String) -> Bool { kind == .string && storage.withTape { $0.isText(index, text) } }

    /// A number as it was written; nil for anything else.
    package var numberText: String? { kind == .number ? String(decoding: rawBytes, as: UTF8.self) : nil }

    /// A number without fraction or exponent that fits; nil for anything else.
    package var integer: Int? { numberText.flatMap { Int($0) } }

    /// `true` or `false`; nil for anything else.
    package var bool: Bool? {
        switch kind {
        case .true: true
        case .false: false
        default: nil
        }
    }
}

extension JSONDocument {
    init(_ storage: JSONStorage) { self.storage = storage }
}

/// One member of an object.
package struct JSONMember: Sendable {
    private let keyNode: JSONNode
    package let value: JSONNode

    init(key: JSONNode, value: JSONNode) {
        self.keyNode = key
        self.value = value
    }

    /// The unescaped key.
    package var key: String { keyNode.string ?? "" }
    /// Where the key stands in the document, quotes included.
    package var keyRange: Range<Int> { keyNode.range }
    /// Whether the key is this text; cheaper than comparing `key`.
    package func keyIs(_ text: String) -> Bool { keyNode.stringIs(text) }
}

/// The members of an object in document order.
package struct JSONMembers: Sequence, Sendable {
    let node: JSONNode

    package struct Iterator: IteratorProtocol {
        let storage: JSONStorage
        var index: Int
        let end: Int

        package mutating func next() -> JSONMember? {
            guard index < end else { return nil }
            let key = JSONNode(storage: storage, index: index)
            let value = JSONNode(storage: storage, index: index + 1)
            index = Int(storage.entries[index + 1].next)
            return JSONMember(key: key, value: value)
        }
    }

    package func makeIterator() -> Iterator {
        let end = node.kind == .object ? Int(node.storage.entries[node.index].next) : 0
        return Iterator(storage: node.storage, index: node.index + 1, end: end)
    }
}

/// The elements of an array in document order.
package struct JSONElements: Sequence, Sendable {
    let node: JSONNode

    package struct Iterator: IteratorProtocol {
        let storage: JSONStorage
        var index: Int
        let end: Int

        package mutating func next() -> JSONNode? {
            guard index < end else { return nil }
            let element = JSONNode(storage: storage, index: index)
            index = Int(storage.entries[index].next)
            return element
        }
    }

    package func makeIterator() -> Iterator {
        let end = node.kind == .array ? Int(node.storage.entries[node.index].next) : 0
        return Iterator(storage: node.storage, index: node.index + 1, end: end)
    }
}
