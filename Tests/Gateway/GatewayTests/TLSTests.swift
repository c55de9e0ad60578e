import Foundation
import NIOSSL
import Testing

@testable import Gateway

@Suite struct TLSTests {
    /// A certificate of its own in a folder of its own, made by the openssl command.
    private static func withCertificate(
        _ body: (_ certificate: String, _ key: String) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "medcloud-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let certificate = folder.appending(path: "c.pem").path
        let key = folder.appending(path: "k.pem").path
        let openssl = Process()
        openssl.executableURL = URL(filePath: "/usr/bin/openssl")
        openssl.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
            "/CN=localhost", "-keyout", key, "-out", certificate,
        ]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        try #require(openssl.terminationStatus == 0)
        try await body(certificate, key)
    }

    private static func client(maximum: TLSVersion? = nil) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        configuration.minimumTLSVersion = .tlsv1
        configuration.maximumTLSVersion = maximum
        return try NIOSSLContext(configuration: configuration)
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")))
    func `a worker with a certificate speaks TLS 1.2 and newer only`() async throws {
        try await Self.withCertificate { certificate, key in
            let tls = try TLSFiles.configuration(certificate: certificate, key: key)
            try await GatewayFixture.withGateway(tls: tls) { gateway in
                for version: TLSVersion? in [nil, .tlsv12] {
                    let heard = try await RawClient.connect(to: gateway.port, tls: Self.client(maximum: version)) {
                        connection in
                        try await connection.say(
                            "GET /t/h1/fhir/Patient/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer h1\r\n\r\n")
                        return try await connection.hear { RawAnswer.isComplete($0) }
                    }
                    let answer = try #require(RawAnswer(heard))
                    #expect(answer.body == "hot Patient/1")
                    #expect(answer["strict-transport-security"] != nil)
                }
                await #expect(throws: (any Error).self) {
                    try await RawClient.connect(to: gateway.port, tls: Self.client(maximum: .tlsv11)) { connection in
                        try await connection.say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                        let heard = try await connection.hear { RawAnswer.isComplete($0) }
                        try #require(!heard.isEmpty)
                    }
                }
            }
        }
    }

    @Test func `a certificate that is not there is an error at start`() {
        #expect(throws: (any Error).self) { try TLSFiles.configuration(certificate: "/nowhere", key: "/nowhere") }
    }
}
