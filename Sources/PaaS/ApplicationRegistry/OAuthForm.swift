/// The parameters of an OAuth request, `application/x-www-form-urlencoded`, read strictly.
struct OAuthForm {
    /// Larger bodies are refused unread.
    static let maximumBytes = 32_768
    private let fields: [String: String]

    /// - Throws: ``OAuthError`` `invalid_request` for another content type, a parameter given twice (RFC 6749 §3.2), broken
    ///   percent-encoding or bytes that are not UTF-8.
    init(_ body: some Collection<UInt8>, contentType: String?) throws(OAuthError) {
        let type = contentType?.split(separator: ";").first.map { $0.lowercased().filter { $0 != " " } }
        guard type == "application/x-www-form-urlencoded" else {
            throw OAuthError(.invalidRequest, "the body must be application/x-www-form-urlencoded")
        }
        guard body.count <= Self.maximumBytes else { throw OAuthError(.invalidRequest, "the body is too large") }
        var fields: [String: String] = [:]
        for pair in body.split(separator: UInt8(ascii: "&")) {
            let halves = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = halves.first.flatMap({ Self.decode($0) }), !name.isEmpty,
                let value = halves.count == 2 ? Self.decode(halves[1]) : ""
            else { throw OAuthError(.invalidRequest, "a parameter is not decodable") }
            guard fields.updateValue(value, forKey: name) == nil else {
                throw OAuthError(.invalidRequest, "a parameter is given twice")
            }
        }
        self.fields = fields
    }

    /// The parameter, or nil when it is absent or empty, which means the same (RFC 6749 §3.2).
    subscript(name: String) -> String? {
        fields[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The parameter.
    func required(_ name: String) throws(OAuthError) -> String {
        guard let value = self[name] else { throw OAuthError(.invalidRequest, "\(name) is missing") }
        return value
    }

    private static func decode(_ text: some Collection<UInt8>) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var iterator = text.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = iterator.next().flatMap(nibble), let low = iterator.next().flatMap(nibble) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func nibble(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
