import CloudModel
import Crypto

/// Positions as the client carries them: signed, for one client of one institution and one question. Nothing is kept here, and
/// what a page may hold is decided again for each.
struct SharingCursor: Sendable {
    private let key: SymmetricKey
    /// Of the HMAC-SHA256, this many bytes travel.
    private static let signatureBytes = 16

    /// - Parameter key: at least 32 bytes, the same at every worker.
    init(key: [UInt8]) {
        self.key = SymmetricKey(data: key)
    }

    func text(_ position: String, for subject: String) -> String {
        let bytes = Array(position.utf8)
        return Base64URL.encode(signature(bytes, subject) + bytes)
    }

    /// nil when the text was not made here for `subject`.
    func position(_ text: String, for subject: String) -> String? {
        guard text.utf8.count <= 8192, let bytes = Base64URL.decode(text), bytes.count > Self.signatureBytes else {
            return nil
        }
        let position = Array(bytes[Self.signatureBytes...])
        // Every byte is looked at, whatever the first difference.
        var difference: UInt8 = 0
        for (left, right) in zip(bytes, signature(position, subject)) { difference |= left ^ right }
        return difference == 0 ? String(validating: position, as: UTF8.self) : nil
    }

    private func signature(_ position: [UInt8], _ subject: String) -> [UInt8] {
        var message = Array("medcloud sharing cursor\n\(subject.utf8.count)\n\(subject)\n".utf8)
        message += position
        return Array(HMAC<SHA256>.authenticationCode(for: message, using: key).prefix(Self.signatureBytes))
    }
}
