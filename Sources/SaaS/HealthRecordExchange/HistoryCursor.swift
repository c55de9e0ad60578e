import CloudModel
import Crypto

/// Positions in histories as the client carries them: signed, bound to a tenant and a history, nothing kept here.
struct HistoryCursor: Sendable {
    private let key: SymmetricKey
    /// Of the HMAC-SHA256, this many bytes travel.
    private static let signatureBytes = 16

    /// - Parameter key: At least 32 bytes, the same at every worker.
    init(key: [UInt8]) {
        self.key = SymmetricKey(data: key)
    }

    func text(_ position: Int64, subject: String) -> String {
        let bytes = Self.bytes(position)
        return Base64URL.encode(bytes + signature(bytes, subject))
    }

    /// nil when the text was not made here for `subject`.
    func position(_ text: String, subject: String) -> Int64? {
        guard let bytes = Base64URL.decode(text), bytes.count == 8 + Self.signatureBytes else { return nil }
        let expected = signature(Array(bytes[..<8]), subject)
        // Every byte is looked at, whatever the first difference.
        var difference: UInt8 = 0
        for (left, right) in zip(bytes[8...], expected) { difference |= left ^ right }
        guard difference == 0 else { return nil }
        return bytes[..<8].reduce(0) { $0 << 8 | Int64($1) }
    }

    private func signature(_ position: [UInt8], _ subject: String) -> [UInt8] {
        let message = Array("history\n".utf8) + position + Array(subject.utf8)
        return Array(HMAC<SHA256>.authenticationCode(for: message, using: key).prefix(Self.signatureBytes))
    }

    private static func bytes(_ position: Int64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: position >> Int64(56 - 8 * $0)) }
    }
}
