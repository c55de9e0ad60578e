// Why a document was refused, and where.

/// A document that is not the JSON we accept.
///
/// The offset is a byte offset into the document; the path names the innermost value that was open there, in the form
/// `name[0].given[1]` (empty at the top). Neither contains any value of the document.
package struct JSONError: Error, Sendable, Equatable {
    /// What was wrong. A struct over a private enum, so that a new code breaks no `switch` of a caller.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Base: String, Sendable {
            case malformed, duplicateKey, depth, loneSurrogate, nul, invalidUTF8, stringTooLong, tooLarge
            case trailingBytes
        }

        private let base: Base

        /// The bytes do not follow the grammar of RFC 8259.
        package static let malformed = Code(base: .malformed)
        /// An object has the same key twice (after unescaping).
        package static let duplicateKey = Code(base: .duplicateKey)
        /// Objects and arrays are nested deeper than the limit.
        package static let depth = Code(base: .depth)
        /// A `\u` escape is half of a surrogate pair.
        package static let loneSurrogate = Code(base: .loneSurrogate)
        /// A string contains U+0000, which Postgres text cannot hold.
        package static let nul = Code(base: .nul)
        /// The bytes are not UTF-8: truncated, overlong, a surrogate, or beyond U+10FFFF.
        package static let invalidUTF8 = Code(base: .invalidUTF8)
        /// A string is longer than the limit.
        package static let stringTooLong = Code(base: .stringTooLong)
        /// The document has more bytes or more values than the limit.
        package static let tooLarge = Code(base: .tooLarge)
        /// Something follows the first value.
        package static let trailingBytes = Code(base: .trailingBytes)

        package var description: String { base.rawValue }
    }

    package let code: Code
    package let offset: Int
    package let path: String

    /// One sentence for the sender of the document.
    package var message: String {
        let what =
            switch code {
            case .duplicateKey: "an object has the same key twice"
            case .depth: "the values are nested too deeply"
            case .loneSurrogate: "a \\u escape is half of a surrogate pair"
            case .nul: "a string contains U+0000"
            case .invalidUTF8: "the text is not valid UTF-8"
            case .stringTooLong: "a string is too long"
            case .tooLarge: "the document is too large"
            case .trailingBytes: "something follows the end of the document"
            default: "this is not JSON"
            }
        return path.isEmpty ? "\(what) (byte \(offset))" : "\(what) (byte \(offset), at \(path))"
    }
}

/// What one document may cost.
package struct JSONLimits: Sendable {
    /// How deep objects and arrays may be nested; 64 is allowed, 65 is not.
    package var maximumDepth: Int
    /// How many bytes a document may have. At most 2 GiB, because positions are 32 bits wide.
    package var maximumBytes: Int
    /// How many bytes one string may have between its quotes. FHIR's own limit (1 MiB for everything but base64) is
    /// checked by validation, which knows the type of an element.
    package var maximumStringBytes: Int
    /// How many keys and values a document may have: 16 bytes of memory each.
    package var maximumNodes: Int

    package init(
        maximumDepth: Int = 64, maximumBytes: Int = 64 << 20, maximumStringBytes: Int = 64 << 20,
        maximumNodes: Int = 8 << 20
    ) {
        self.maximumDepth = maximumDepth
        self.maximumBytes = maximumBytes
        self.maximumStringBytes = maximumStringBytes
        self.maximumNodes = maximumNodes
    }
}
