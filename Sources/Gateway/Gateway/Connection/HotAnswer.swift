import CloudHTTP
import HTTPTypes
import ModuleKit
import NIOCore

/// The answer to a hot read as it goes out: written once, not taken apart into fields and put together again.
struct HotAnswer: Sendable {
    /// Status line and fields, without the empty line that ends them.
    private let head: ByteBuffer
    private let body: ByteBuffer

    /// 200 with a resource.
    init(_ resource: HotResource, headers: AnswerHeaders, requestID: String, allocator: ByteBufferAllocator) {
        var head = allocator.buffer(capacity: 512)
        head.writeStaticString("HTTP/1.1 200 OK\r\nETag: W/\"")
        head.writeDecimal(Int(resource.version))
        head.writeStaticString("\"\r\nLast-Modified: ")
        let seconds = resource.lastUpdated.floorDivided(by: 1_000_000)
        head.writeWithUnsafeMutableBytes(minimumWritableBytes: 29) { bytes in
            var count = 0
            HTTPDate.append(secondsSinceEpoch: seconds) { byte in
                bytes[count] = byte
                count += 1
            }
            return count
        }
        head.writeStaticString("\r\nContent-Type: ")
        head.writeString(resource.mediaType)
        head.writeStaticString("\r\nContent-Length: ")
        head.writeDecimal(resource.body.readableBytes)
        // Answers of a FHIR base differ by origin (CORS); the ordinary way says so too.
        head.writeStaticString("\r\nVary: Origin\r\n")
        headers.write(requestID: requestID, to: &head)
        self.head = head
        body = resource.body
    }

    /// Any answer whose header fields are complete.
    init(_ response: ModuleResponse) {
        var head = ByteBuffer()
        head.writeStaticString("HTTP/1.1 ")
        head.writeDecimal(response.status.code)
        head.writeStaticString(" ")
        head.writeString(response.status.reasonPhrase)
        head.writeStaticString("\r\n")
        for field in response.headers {
            head.writeString(field.name.rawName)
            head.writeStaticString(": ")
            head.writeString(field.value)
            head.writeStaticString("\r\n")
        }
        self.head = head
        body = response.body
    }

    /// The bytes, in two pieces at most.
    func write(closing: Bool, _ write: (ByteBuffer) -> Void) {
        var head = head
        if closing { head.writeStaticString("Connection: close\r\n") }
        head.writeStaticString("\r\n")
        write(head)
        if body.readableBytes > 0 { write(body) }
    }
}

extension ByteBuffer {
    /// Digits of a number that is not negative.
    fileprivate mutating func writeDecimal(_ number: Int) {
        var divisor = 1
        while number / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            writeInteger(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number / divisor % 10))
            divisor /= 10
        }
    }
}

extension Int64 {
    fileprivate func floorDivided(by divisor: Int64) -> Int64 {
        self / divisor - (self % divisor < 0 ? 1 : 0)
    }
}
