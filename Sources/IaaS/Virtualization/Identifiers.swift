/// The opaque name under which the hypervisor and the host's file system know something of ours: a kind, a hyphen and 26
/// characters of lower-case base32 (130 random bits), as `i-4kq…`. Safe in XML, paths and command lines by its rule, and it
/// says nothing about the tenant.
package struct ResourceName: Sendable, Hashable, Codable, CustomStringConvertible {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case instance = "i"
        case network = "n"
        case volume = "v"
    }

    package let kind: Kind
    package let rawValue: String

    /// Returns nil unless `rawValue` follows the rule above.
    package init?(_ rawValue: String) {
        let bytes = Array(rawValue.utf8)
        guard bytes.count == 28, bytes[1] == UInt8(ascii: "-"), bytes.dropFirst(2).allSatisfy(Self.alphabet.contains),
            let kind = Kind(rawValue: String(decoding: bytes[..<1], as: UTF8.self))
        else { return nil }
        self.kind = kind
        self.rawValue = rawValue
    }

    private init(kind: Kind, checked rawValue: String) {
        self.kind = kind
        self.rawValue = rawValue
    }

    /// The guest that proves acceleration: the same each time, so that what was left of one is found by the next.
    package static let accelerationProof = ResourceName(kind: .instance, checked: "i-accelerationproofaaaaaaaaa")

    package static func random(_ kind: Kind) -> ResourceName {
        var generator = SystemRandomNumberGenerator()
        return random(kind, using: &generator)
    }

    package static func random(_ kind: Kind, using generator: inout some RandomNumberGenerator) -> ResourceName {
        let characters = (0..<26).map { _ in alphabet[Int.random(in: 0..<32, using: &generator)] }
        return ResourceName(kind: kind, checked: kind.rawValue + "-" + String(decoding: characters, as: UTF8.self))
    }

    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let name = ResourceName(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not a resource name"))
        }
        self = name
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }

    package var description: String { rawValue }

    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
}
