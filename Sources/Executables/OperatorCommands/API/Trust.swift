import CloudModel
import NIOSSL

/// By whose word the CLI believes that a server is the region.
package enum Trust: Sendable, Equatable {
    /// The authorities that the system trusts.
    case system
    /// The authorities in a PEM file, and no others.
    case authorities(file: String)
    /// Nobody's: only where nothing secret is sent and the answer decides nothing.
    case unchecked

    /// The authorities of `file`, or the system's when none is named.
    package init(_ file: String?) {
        self = file.map { Trust.authorities(file: $0) } ?? .system
    }

    /// The file of authorities, where one is named.
    package var file: String? {
        if case .authorities(let file) = self { file } else { nil }
    }

    /// - Throws: ``CommandFailure`` when the file cannot be read or holds no certificate.
    func configuration() throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        switch self {
        case .system: break
        case .unchecked: configuration.certificateVerification = .none
        case .authorities(let file):
            let bytes = try DurableFile.read(file)
            guard let certificates = try? NIOSSLCertificate.fromPEMBytes(bytes), !certificates.isEmpty else {
                throw CommandFailure(.failed, "\(file) holds no PEM certificate that can be read (--ca-file).")
            }
            configuration.trustRoots = .certificates(certificates)
        }
        return configuration
    }

    /// What to say of a connection that failed over the server's certificate; nil for other failures.
    func refusal(of url: String, for error: any Error) -> CommandFailure? {
        let text = "\(error)"
        let whose =
            switch self {
            case .authorities(let file): "no authority in \(file)"
            case .system, .unchecked: "no authority that this machine trusts"
            }
        if text.contains("CERTIFICATE_VERIFY_FAILED") || error as? NIOSSLError == .unableToValidateCertificate {
            return CommandFailure(
                .unreachable,
                "The certificate of \(url) is vouched for by \(whose), or is out of date: name the right one with --ca-file."
            )
        }
        if error as? NIOSSLExtraError == .failedToValidateHostname {
            return CommandFailure(
                .unreachable,
                "The certificate of \(url) is for other names: use one of them in --base-url of `medcloud up`.")
        }
        return nil
    }
}
