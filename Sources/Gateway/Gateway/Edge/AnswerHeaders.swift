import CloudHTTP
import HTTPTypes
import NIOCore

/// The headers that every answer carries, whatever made it.
struct AnswerHeaders: Sendable {
    /// Tells browsers to come back by TLS only; sent when the worker itself ends TLS.
    let isSecure: Bool

    /// Adds the request id and the security headers. Answers hold patient data unless they say otherwise, so nothing keeps
    /// them (`no-store`).
    func apply(to headers: inout HTTPFields, requestID: String) {
        headers.append(HTTPField(name: .requestID, value: requestID))
        headers.append(Self.noSniff)
        if headers[.cacheControl] == nil { headers.append(Self.noStore) }
        if isSecure { headers.append(Self.strictTransport) }
    }

    /// The same for an answer of patient data, as lines.
    func write(requestID: String, to head: inout ByteBuffer) {
        head.writeStaticString("X-Request-Id: ")
        head.writeString(requestID)
        head.writeStaticString("\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n")
        if isSecure { head.writeStaticString("Strict-Transport-Security: max-age=31536000\r\n") }
    }

    private static let noSniff = HTTPField(name: .xContentTypeOptions, value: "nosniff")
    private static let noStore = HTTPField(name: .cacheControl, value: "no-store")
    private static let strictTransport = HTTPField(name: .strictTransportSecurity, value: "max-age=31536000")
}
