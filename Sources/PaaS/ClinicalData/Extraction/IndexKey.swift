// Keys that fit into a B-tree.

import Crypto

/// Bounds the keys of the search index: a B-tree entry must fit into a third of a page.
package enum IndexKey {
    /// The longest text, in UTF-8 bytes, that is stored as it is.
    package static let maximumBytes = 512

    /// The text itself, or `sha256:` and the hexadecimal digest when it is too long. Queries are bounded the same way,
    /// so equality works for any length.
    package static func bounded(_ text: String) -> String {
        var text = text
        guard text.utf8.count > maximumBytes else { return text }
        let digest = text.withUTF8 { SHA256.hash(data: $0) }
        let digits = Array("0123456789abcdef".utf8)
        var result = Array("sha256:".utf8)
        for byte in digest {
            result.append(digits[Int(byte >> 4)])
            result.append(digits[Int(byte & 0xF)])
        }
        return String(decoding: result, as: UTF8.self)
    }
}
