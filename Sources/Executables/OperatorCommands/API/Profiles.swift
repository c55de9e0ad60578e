import Foundation
import Glibc

/// `operator.json`: who the operator is and where the region answers. Mode 0600.
package struct OperatorProfile: Codable, Sendable, Equatable {
    package var baseURL: String
    package var clientID: String
    /// The authorities that vouch for the region's certificate: a PEM file. Nil = those that the system trusts.
    package var caFile: String?
    package var privateKey: ClientKey

    package init(baseURL: String, clientID: String, caFile: String? = nil, privateKey: ClientKey) {
        self.baseURL = baseURL
        self.clientID = clientID
        self.caFile = caFile
        self.privateKey = privateKey
    }

    package static func read(_ path: String) throws -> OperatorProfile {
        do {
            return try PrivateFile.read(OperatorProfile.self, path, what: "operator profile")
        } catch let failure as CommandFailure where failure.code == .notFound {
            throw CommandFailure(
                .notFound, failure.message + " Start a region with `medcloud up`, or name its directory with --state.")
        }
    }

    package func write(to path: String) throws {
        try PrivateFile.write(self, to: path)
    }
}

/// A client's key file below `clients/TENANT/`, mode 0600: all that a hospital's system needs to get a token.
package struct ClientProfile: Codable, Sendable, Equatable {
    package var tenant: String
    package var clientID: String
    package var tokenURL: String
    package var fhirBase: String
    package var scope: String
    /// As in ``OperatorProfile``.
    package var caFile: String?
    package var privateKey: ClientKey

    package init(
        tenant: String, clientID: String, tokenURL: String, fhirBase: String, scope: String, caFile: String? = nil,
        privateKey: ClientKey
    ) {
        self.tenant = tenant
        self.clientID = clientID
        self.tokenURL = tokenURL
        self.fhirBase = fhirBase
        self.scope = scope
        self.caFile = caFile
        self.privateKey = privateKey
    }

    /// Stands for the region where a tenant is named; no tenant can have this name.
    package static let region = "region"

    /// Where the tokens and records of a tenant, or of the region, are.
    package static func addresses(baseURL: String, tenant: String) -> (tokenURL: String, fhirBase: String) {
        let root = tenant == region ? "\(baseURL)/region" : "\(baseURL)/t/\(tenant)"
        return ("\(root)/oauth2/token", "\(root)/fhir")
    }

    package static func read(_ path: String) throws -> ClientProfile {
        try PrivateFile.read(ClientProfile.self, path, what: "client file")
    }

    package func write(to path: String) throws {
        try PrivateFile.write(self, to: path)
    }
}

/// Files that hold a private key: written with mode 0600, refused when others may read them.
package enum PrivateFile {
    package static func write(_ value: some Encodable, to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try DurableFile.write(Array(try encoder.encode(value)) + [0x0A], to: path, mode: 0o600)
    }

    package static func read<Value: Decodable>(_ type: Value.Type, _ path: String, what: String) throws -> Value {
        var status = stat()
        guard stat(path, &status) == 0 else {
            let number = errno
            throw CommandFailure(
                number == EACCES ? .unauthorized : .notFound,
                "Cannot read the \(what) \(path): \(SystemError.text(number)).")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw CommandFailure(
                .refused, "The \(what) \(path) can be read by others: run `chmod 600 \(path)`.")
        }
        do {
            return try JSONDecoder().decode(type, from: Data(try DurableFile.read(path)))
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(.failed, "The \(what) \(path) is damaged.")
        }
    }
}
