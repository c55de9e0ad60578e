import NIOSSL

/// A certificate chain and its key, PEM files, as the gateway workers will serve with them.
struct CertificatePair {
    let certificate: String
    let key: String

    /// - Throws: ``CommandFailure`` that names the file which cannot be read, holds something else or does not fit the other.
    /// - Parameter user: whom the workers run as; nil = the current user.
    func check(readableFor user: SystemUser?) throws {
        let chain = try DurableFile.read(certificate)
        guard let certificates = try? NIOSSLCertificate.fromPEMBytes(chain), !certificates.isEmpty else {
            throw CommandFailure(
                .failed, "\(certificate) holds no PEM certificate that can be read (--tls-certificate).")
        }
        let secret = try DurableFile.read(key)
        guard let privateKey = try? NIOSSLPrivateKey(bytes: secret, format: .pem) else {
            throw CommandFailure(
                .failed, "\(key) holds no PEM key that can be read without a password (--tls-key).")
        }
        for file in [certificate, key] {
            if let user, try !ExecutableLocation.canRead(file, as: user) {
                throw CommandFailure(
                    .refused,
                    "The gateway workers run as \(user.name), who cannot read \(file): give it to them "
                        + "(chgrp \(user.name) and chmod 640), and let them enter the directories above it.")
            }
        }
        let configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: certificates.map { .certificate($0) }, privateKey: .privateKey(privateKey))
        guard (try? NIOSSLContext(configuration: configuration)) != nil else {
            throw CommandFailure(.failed, "\(key) is not the key of the first certificate in \(certificate).")
        }
    }
}
