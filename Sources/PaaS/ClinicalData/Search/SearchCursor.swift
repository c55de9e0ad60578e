import CloudModel
import Crypto

/// Makes and opens the `_cursor` of a next link: a position, signed for one tenant and one query.
///
/// Nothing is kept on the server, and a cursor does not age: it names a place in the order, so rows that were not
/// changed in between are neither skipped nor repeated. Form: base64url of a format byte, the position and an
/// HMAC-SHA256 over tenant, query and position.
struct SearchCursor: Sendable {
    private static let format: UInt8 = 1
    private static let macLength = 32
    private let key: SymmetricKey

    init(key: [UInt8]) { self.key = SymmetricKey(data: key) }

    func text(_ position: SearchPosition, tenant: TenantID, query: String) -> String {
        var bytes = Self.encode(position)
        bytes.append(contentsOf: mac(bytes, tenant, query))
        return Base64URL.encode(bytes)
    }

    /// - Parameter keys: How many sort values the query's positions have.
    /// - Throws: The same error whatever is wrong.
    func position(_ text: String, tenant: TenantID, query: String, keys: Int) throws(SearchError) -> SearchPosition {
        guard text.utf8.count <= 8192, let bytes = Base64URL.decode(text), bytes.count > Self.macLength else {
            throw SearchError.badCursor
        }
        let payload = Array(bytes.dropLast(Self.macLength))
        let claimed = Array(bytes.suffix(Self.macLength))
        guard
            HMAC<SHA256>.isValidAuthenticationCode(
                claimed, authenticating: Self.message(payload, tenant, query), using: key),
            let position = Self.decode(payload), position.keys.count == keys
        else { throw SearchError.badCursor }
        return position
    }

    private func mac(_ payload: [UInt8], _ tenant: TenantID, _ query: String) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Self.message(payload, tenant, query), using: key))
    }

    private static func message(_ payload: [UInt8], _ tenant: TenantID, _ query: String) -> [UInt8] {
        var bytes = Array("medcloud search cursor".utf8)
        for part in [Array(tenant.rawValue.utf8), Array(query.utf8), payload] {
            append(Int64(part.count), to: &bytes)
            bytes += part
        }
        return bytes
    }

    // MARK: Bytes

    private static func append(_ number: Int64, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private static func encode(_ position: SearchPosition) -> [UInt8] {
        var bytes = [format]
        append(position.rid, to: &bytes)
        for key in position.keys {
            guard let key else {
                append(-1, to: &bytes)
                continue
            }
            append(Int64(key.utf8.count), to: &bytes)
            bytes += Array(key.utf8)
        }
        return bytes
    }

    private static func decode(_ bytes: [UInt8]) -> SearchPosition? {
        var rest = bytes[...]
        func number() -> Int64? {
            guard rest.count >= 8 else { return nil }
            defer { rest = rest.dropFirst(8) }
            return rest.prefix(8).reduce(0) { $0 << 8 | Int64($1) }
        }
        guard rest.popFirst() == format, let rid = number() else { return nil }
        var keys: [String?] = []
        while !rest.isEmpty {
            guard let length = number() else { return nil }
            guard length >= 0 else {
                keys.append(nil)
                continue
            }
            guard length <= rest.count else { return nil }
            keys.append(String(decoding: rest.prefix(Int(length)), as: UTF8.self))
            rest = rest.dropFirst(Int(length))
        }
        return SearchPosition(keys: keys, rid: rid)
    }
}
