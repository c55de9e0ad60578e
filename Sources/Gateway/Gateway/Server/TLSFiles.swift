package import NIOSSL

/// The TLS configuration of a worker that ends TLS itself.
package enum TLSFiles {
    /// TLS 1.2 and 1.3 with the certificate chain and key of two PEM files.
    ///
    /// - Throws: `NIOSSLError` and I/O errors when a file cannot be read or holds something else.
    package static func configuration(certificate: String, key: String) throws -> TLSConfiguration {
        let chain = try NIOSSLCertificate.fromPEMFile(certificate).map { NIOSSLCertificateSource.certificate($0) }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain, privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return configuration
    }
}
