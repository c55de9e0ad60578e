/// A hot read as it stands in the bytes of a connection: `GET /t/{tenant}/fhir/{type}/{id} HTTP/1.1` with a bearer token
/// and no field that asks for more.
///
/// Takes a strict part of what the HTTP decoder takes and understands it the same way: one complete head, lines that end
/// in CRLF, no body, only fields that are listed here, each value in visible ASCII. Anything else is nil and the decoder's.
struct ScannedRead: Sendable, Hashable {
    /// The head's bytes, the empty line included.
    let length: Int
    let tenant: Range<Int>
    let type: Range<Int>
    let id: Range<Int>
    let token: Range<Int>
    private(set) var requestID: Range<Int>?

    /// Longer heads are the decoder's.
    static let maximumLength = 8192

    /// - Parameter bytes: what a connection has received, from the beginning of a request on.
    init?(_ bytes: UnsafeRawBufferPointer) {
        var scanner = HeadBytes(bytes: UnsafeRawBufferPointer(rebasing: bytes.prefix(Self.maximumLength)))
        guard scanner.take("GET /t/"), let tenant = scanner.segment(), scanner.take("/fhir/"),
            let type = scanner.segment(), UInt8(ascii: "A")...UInt8(ascii: "Z") ~= bytes[type.lowerBound],
            scanner.take("/"), let id = scanner.segment(), id.count <= 64, bytes[id.lowerBound] != UInt8(ascii: "."),
            scanner.take(" HTTP/1.1\r\n")
        else { return nil }
        var token: Range<Int>?
        var hasHost = false
        while !scanner.take("\r\n") {
            guard let (name, value) = scanner.field() else { return nil }
            switch name.count {
            case 4 where scanner.matches(name, "host"):
                guard !hasHost, scanner.isVisible(value) else { return nil }
                hasHost = true
            case 6 where scanner.matches(name, "accept"):
                guard scanner.acceptsJSON(value) else { return nil }
            case 10 where scanner.matches(name, "connection"):
                guard scanner.matches(value, "keep-alive") else { return nil }
            case 10 where scanner.matches(name, "user-agent"), 15 where scanner.matches(name, "accept-encoding"),
                15 where scanner.matches(name, "accept-language"), 13 where scanner.matches(name, "cache-control"),
                6 where scanner.matches(name, "pragma"), 11 where scanner.matches(name, "traceparent"),
                10 where scanner.matches(name, "tracestate"):
                guard scanner.isVisible(value) else { return nil }
            case 12 where scanner.matches(name, "x-request-id"):
                guard requestID == nil, scanner.isVisible(value) else { return nil }
                requestID = value
            case 13 where scanner.matches(name, "authorization"):
                // What is no token of ours is not found in the cache and goes to the decoder.
                guard token == nil, value.count > 7,
                    scanner.matches(value.lowerBound..<value.lowerBound + 7, "bearer "),
                    bytes[value.lowerBound + 7] != UInt8(ascii: " ")
                else { return nil }
                token = value.lowerBound + 7..<value.upperBound
            default: return nil
            }
        }
        guard hasHost, let token else { return nil }
        length = scanner.position
        self.tenant = tenant
        self.type = type
        self.id = id
        self.token = token
    }
}

/// Reads a head from its beginning.
private struct HeadBytes {
    let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// Goes on when `text` comes next.
    mutating func take(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard position + count <= bytes.count else { return false }
        for index in 0..<count where bytes[position + index] != text.utf8Start[index] { return false }
        position += count
        return true
    }

    /// One or more letters, digits, hyphens and dots: no escape, no query, no slash can hide in what passes.
    mutating func segment() -> Range<Int>? {
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
                position += 1
                continue
            default: break
            }
            break
        }
        return start < position ? start..<position : nil
    }

    /// A line `name: value`, the value without the spaces before it; nil also when spaces follow it.
    mutating func field() -> (name: Range<Int>, value: Range<Int>)? {
        let start = position
        while position < bytes.count, Self.isName(bytes[position]) { position += 1 }
        let name = start..<position
        guard !name.isEmpty, take(":") else { return nil }
        while position < bytes.count, bytes[position] == UInt8(ascii: " ") { position += 1 }
        let valueStart = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "\r") { position += 1 }
        let value = valueStart..<position
        guard !value.isEmpty, bytes[value.upperBound - 1] != UInt8(ascii: " "), take("\r\n") else { return nil }
        return (name, value)
    }

    private static func isName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// Equal without regard to case; `text` is in lower case.
    func matches(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for (index, position) in range.enumerated() {
            var byte = bytes[position]
            if UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte { byte |= 0x20 }
            if byte != text.utf8Start[index] { return false }
        }
        return true
    }

    func isVisible(_ range: Range<Int>) -> Bool {
        for position in range where !(0x20...0x7E ~= bytes[position]) { return false }
        return true
    }

    /// The values that clients really send.
    func acceptsJSON(_ range: Range<Int>) -> Bool {
        matches(range, "*/*") || matches(range, "application/fhir+json") || matches(range, "application/json")
    }
}
