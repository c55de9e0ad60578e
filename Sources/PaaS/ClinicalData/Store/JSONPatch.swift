package import StrictJSON

/// A JSON Patch (RFC 6902). Values that no operation touches keep their bytes.
package struct JSONPatch: Sendable {
    /// Why a patch cannot be applied.
    package enum Failure: Error, Sendable, Hashable {
        /// The patch itself breaks RFC 6902; operation index and reason.
        case malformed(operation: Int, String)
        /// A path leads nowhere, or to a place the operation cannot use.
        case path(operation: Int, String)
        /// A `test` found something else.
        case test(operation: Int, String)
    }

    private enum Action: Sendable {
        case add(JSONNode)
        case remove
        case replace(JSONNode)
        case move(from: [String])
        case copy(from: [String])
        case test(JSONNode)
    }

    private let operations: [(action: Action, path: [String], text: String)]

    package init(parsing document: JSONDocument) throws(Failure) {
        guard document.root.kind == .array else { throw .malformed(operation: 0, "a JSON Patch is an array") }
        var operations: [(action: Action, path: [String], text: String)] = []
        for (index, node) in document.root.elements.enumerated() {
            guard node.kind == .object, let name = node["op"]?.string else {
                throw .malformed(operation: index, "an operation needs 'op'")
            }
            guard let text = node["path"]?.string, let path = Self.pointer(text) else {
                throw .malformed(operation: index, "'path' must be a JSON Pointer")
            }
            let value = node["value"]
            let from = node["from"]?.string.flatMap { Self.pointer($0) }
            let action: Action
            switch (name, value, from) {
            case ("add", let value?, _): action = .add(value)
            case ("replace", let value?, _): action = .replace(value)
            case ("test", let value?, _): action = .test(value)
            case ("remove", _, _): action = .remove
            case ("move", _, let from?):
                guard !(path.count > from.count && path.starts(with: from)) else {
                    throw .malformed(operation: index, "a value cannot be moved into itself")
                }
                action = .move(from: from)
            case ("copy", _, let from?): action = .copy(from: from)
            case ("add", _, _), ("replace", _, _), ("test", _, _):
                throw .malformed(operation: index, "'\(name)' needs 'value'")
            case ("move", _, _), ("copy", _, _):
                throw .malformed(operation: index, "'\(name)' needs 'from', a JSON Pointer")
            default: throw .malformed(operation: index, "unknown 'op'; valid: add, remove, replace, move, copy, test")
            }
            operations.append((action, path, text))
        }
        self.operations = operations
    }

    /// Whether an operation looks at what is there and changes nothing.
    package var hasTest: Bool {
        operations.contains { operation in
            if case .test = operation.action { return true }
            return false
        }
    }

    /// The patched bytes: JSON, but not yet known to be a valid resource.
    package func apply(to document: JSONDocument) throws(Failure) -> [UInt8] {
        var tree = PatchTree.leaf(document.root)
        for (index, (action, path, text)) in operations.enumerated() {
            do {
                switch action {
                case .add(let value):
                    try tree.insert(.leaf(value), at: path[...])
                case .remove:
                    _ = try tree.remove(at: path[...])
                case .replace(let value):
                    try tree.replace(at: path[...], with: .leaf(value))
                case .move(let from):
                    let value = try tree.remove(at: from[...])
                    try tree.insert(value, at: path[...])
                case .copy(let from):
                    let value = try tree.value(at: from[...])
                    try tree.insert(value, at: path[...])
                case .test(let expected):
                    guard try tree.value(at: path[...]).equals(.leaf(expected)) else {
                        throw Failure.test(operation: index, text)
                    }
                }
            } catch let failure as Failure {
                throw failure
            } catch {
                throw .path(operation: index, text)
            }
        }
        var writer = JSONWriter(reservingCapacity: document.bytes.count + 256)
        tree.write(to: &writer)
        return writer.bytes
    }

    /// The reference tokens of a JSON Pointer (RFC 6901); nil when it is none.
    static func pointer(_ text: String) -> [String]? {
        guard !text.isEmpty else { return [] }
        guard text.utf8.first == UInt8(ascii: "/") else { return nil }
        var tokens: [String] = []
        for part in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            var token: [UInt8] = []
            var bytes = part.utf8.makeIterator()
            while let byte = bytes.next() {
                guard byte == UInt8(ascii: "~") else {
                    token.append(byte)
                    continue
                }
                switch bytes.next() {
                case UInt8(ascii: "0"): token.append(UInt8(ascii: "~"))
                case UInt8(ascii: "1"): token.append(UInt8(ascii: "/"))
                default: return nil
                }
            }
            tokens.append(String(decoding: token, as: UTF8.self))
        }
        return tokens
    }
}
