/// The opaque name of a tenant's database: `t_` and 26 characters of lower-case base32 (130 random bits). Says nothing about
/// the tenant to others in the cluster, who can list names.
package struct DatabaseName: Sendable, Hashable, CustomStringConvertible {
    package let rawValue: String

    /// Returns nil unless `rawValue` is `t_` and 26 of `a…z2…7`; what passes is safe as an SQL identifier.
    package init?(_ rawValue: String) {
        let bytes = Array(rawValue.utf8)
        guard bytes.count == 28, bytes[0] == UInt8(ascii: "t"), bytes[1] == UInt8(ascii: "_") else { return nil }
        guard bytes.dropFirst(2).allSatisfy(Self.alphabet.contains) else { return nil }
        self.rawValue = rawValue
    }

    private init(checked rawValue: String) { self.rawValue = rawValue }

    package static func random() -> DatabaseName {
        var generator = SystemRandomNumberGenerator()
        return random(using: &generator)
    }

    package static func random(using generator: inout some RandomNumberGenerator) -> DatabaseName {
        let characters = (0..<26).map { _ in alphabet[Int.random(in: 0..<32, using: &generator)] }
        return DatabaseName(checked: "t_" + String(decoding: characters, as: UTF8.self))
    }

    /// The gateway's login role for this database.
    package var gatewayRole: String { rawValue + "_gw" }

    package var description: String { rawValue }

    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
}
