import CloudHTTP
import Crypto
import HTTPTypes
import ModuleKit
import NIOCore

/// `/openapi.json` and `/docs`. Both are made once and kept.
package struct DescriptionRoutes: Sendable {
    private let document: ByteBuffer
    private let page: ByteBuffer
    /// Nothing may be loaded but the page's own style, named by its hash.
    private let policy: String
    private let documentTag: String
    private let pageTag: String

    package init(_ description: OpenAPIDescription) {
        let html = DocsPage(description).html()
        document = ByteBuffer(bytes: description.bytes)
        page = ByteBuffer(string: html)
        policy =
            "default-src 'none'; style-src 'sha256-\(Self.digest(Array(DocsStyle.css.utf8)))'; base-uri 'none'; "
            + "form-action 'none'; frame-ancestors 'none'"
        documentTag = "\"" + Self.digest(description.bytes).prefix(22) + "\""
        pageTag = "\"" + Self.digest(Array(html.utf8)).prefix(22) + "\""
    }

    package var routes: [Route] {
        [
            Route(.get, "/openapi.json", "readDescription", handler: readDescription),
            Route(.get, "/docs", "readDocs", handler: readDocs),
        ]
    }

    @Sendable private func readDescription(_ request: GatewayRequest) async throws -> ModuleResponse {
        answer(document, type: "application/json", tag: documentTag, request)
    }

    @Sendable private func readDocs(_ request: GatewayRequest) async throws -> ModuleResponse {
        var response = answer(page, type: "text/html; charset=utf-8", tag: pageTag, request)
        response.headers[.contentSecurityPolicy] = policy
        response.headers[.frameOptions] = "DENY"
        response.headers[.referrerPolicy] = "no-referrer"
        return response
    }

    private func answer(
        _ body: ByteBuffer, type: String, tag: String, _ request: GatewayRequest
    ) -> ModuleResponse {
        var headers: HTTPFields = [.cacheControl: "public, max-age=300", .eTag: tag]
        if request.headers[.ifNoneMatch] == tag { return ModuleResponse(status: .notModified, headers: headers) }
        headers[.contentType] = type
        return ModuleResponse(status: .ok, headers: headers, body: body)
    }

    private static func digest(_ bytes: [UInt8]) -> String {
        Base64.encoded(Array(SHA256.hash(data: bytes)))
    }
}

/// Base64 (RFC 4648 §4).
enum Base64 {
    static func encoded(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let chunk = bytes[start..<min(start + 3, bytes.count)]
            var word: UInt32 = 0
            for byte in chunk { word = word << 8 | UInt32(byte) }
            word <<= UInt32(8 * (3 - chunk.count))
            for index in 0..<4 {
                let isPadding = index > chunk.count
                text.append(
                    isPadding ? UInt8(ascii: "=") : alphabet[Int(word >> UInt32(18 - 6 * index)) & 63])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
