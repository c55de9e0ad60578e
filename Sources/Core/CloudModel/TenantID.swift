/// The name of a tenant in URLs, files and logs: a lower-case letter, then up to 30 letters, digits or hyphens,
/// not ending in a hyphen. A plain value: it opens nothing (see ``TenantAccess``).
package struct TenantID: Hashable, Sendable, CustomStringConvertible {
    package let rawValue: String

    /// Returns nil when `rawValue` breaks the rule above or is reserved.
    package init?(_ rawValue: String) {
        let bytes = Array(rawValue.utf8)
        guard (1...31).contains(bytes.count), let first = bytes.first, let last = bytes.last else { return nil }
        guard UInt8(ascii: "a")...UInt8(ascii: "z") ~= first, last != UInt8(ascii: "-") else { return nil }
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                continue
            default:
                return nil
            }
        }
        guard rawValue != "region" else { return nil }
        self.rawValue = rawValue
    }

    package var description: String { rawValue }
}
