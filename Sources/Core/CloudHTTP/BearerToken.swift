/// Reads `Authorization: Bearer TOKEN` (RFC 6750 §2.1).
package enum BearerToken {
    /// Tokens longer than this are refused unread: ours have under 2 KiB.
    package static let maximumBytes = 8192

    /// The challenge that goes with a 403 for a scope that is missing (RFC 6750 §3.1).
    package static let insufficientScope = #"Bearer realm="medcloud", error="insufficient_scope""#

    /// The token, or nil when the header is missing, names another scheme or is not in the grammar.
    package static func parse(_ header: String?) -> Substring? {
        guard let header else { return nil }
        let parts = header.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].utf8.count == 6, parts[0].lowercased() == "bearer" else { return nil }
        let token = parts[1]
        guard (1...maximumBytes).contains(token.utf8.count) else { return nil }
        let isWellFormed = token.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="):
                true
            default: false
            }
        }
        return isWellFormed ? token : nil
    }
}
