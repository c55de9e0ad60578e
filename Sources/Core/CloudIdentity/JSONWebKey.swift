import CloudModel
import Crypto
import CryptoExtras
package import StrictJSON

/// A public key a client or we sign with (RFC 7517): EC P-384 for ES384 or RSA of 2048 to 4096 bits for RS384.
package struct JSONWebKey: Sendable {
    package enum Algorithm: String, Sendable, Hashable, CaseIterable {
        case es384 = "ES384"
        case rs384 = "RS384"
    }

    private enum Material: Sendable {
        case p384(P384.Signing.PublicKey)
        case rsa(_RSA.Signing.PublicKey)
    }

    package let keyID: String
    package let algorithm: Algorithm
    private let material: Material
    /// The key as JSON with nothing but its public members.
    package let json: String

    /// Reads one member of a key set.
    ///
    /// - Throws: ``IdentityError/Code/key`` with a sentence for the person who registers the key.
    package init(_ node: JSONNode) throws(IdentityError) {
        guard node.kind == .object else { throw IdentityError(.key, "a key must be a JSON object") }
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] where node[member] != nil {
            throw IdentityError(.key, "a private or shared key was given: register the public key only")
        }
        guard let keyID = node["kid"]?.string, (1...128).contains(keyID.utf8.count) else {
            throw IdentityError(.key, "a key needs a kid of 1 to 128 bytes")
        }
        if let use = node["use"], !use.stringIs("sig") { throw IdentityError(.key, "use must be \"sig\"") }
        if let operations = node["key_ops"] {
            guard operations.kind == .array, operations.elements.contains(where: { $0.stringIs("verify") }) else {
                throw IdentityError(.key, "key_ops must contain \"verify\"")
            }
        }
        self.keyID = keyID
        var writer = JSONWriter()
        writer.beginObject()
        switch node["kty"]?.string {
        case "EC":
            guard node["crv"]?.stringIs("P-384") == true else { throw IdentityError(.key, "crv must be P-384") }
            guard let x = Self.bytes(node["x"]), let y = Self.bytes(node["y"]), x.count == 48, y.count == 48,
                let key = try? P384.Signing.PublicKey(rawRepresentation: x + y)
            else { throw IdentityError(.key, "x and y are not a point of P-384") }
            material = .p384(key)
            algorithm = .es384
            writer.member("kty", "EC")
            writer.member("crv", "P-384")
            writer.member("x", Base64URL.encode(x))
            writer.member("y", Base64URL.encode(y))
        case "RSA":
            guard let n = Self.bytes(node["n"]), let e = Self.bytes(node["e"]), let first = n.first, first != 0,
                e == [1, 0, 1]
            else { throw IdentityError(.key, "n must have no leading zeros and e must be 65537") }
            guard (256...512).contains(n.count), let key = try? _RSA.Signing.PublicKey(n: n, e: e),
                (2048...4096).contains(key.keySizeInBits)
            else { throw IdentityError(.key, "an RSA key must have 2048 to 4096 bits") }
            material = .rsa(key)
            algorithm = .rs384
            writer.member("kty", "RSA")
            writer.member("n", Base64URL.encode(n))
            writer.member("e", Base64URL.encode(e))
        default:
            throw IdentityError(.key, "kty must be EC or RSA")
        }
        if let named = node["alg"], !named.stringIs(algorithm.rawValue) {
            throw IdentityError(.key, "alg must be \(algorithm.rawValue) for this kind of key")
        }
        writer.member("kid", keyID)
        writer.member("alg", algorithm.rawValue)
        writer.member("use", "sig")
        writer.endObject()
        json = String(decoding: writer.bytes, as: UTF8.self)
    }

    /// A key of our own.
    init(keyID: String, publicKey: P384.Signing.PublicKey) {
        let raw = publicKey.rawRepresentation
        self.keyID = keyID
        algorithm = .es384
        material = .p384(publicKey)
        var writer = JSONWriter()
        writer.object {
            $0.member("kty", "EC")
            $0.member("crv", "P-384")
            $0.member("x", Base64URL.encode(raw.prefix(48)))
            $0.member("y", Base64URL.encode(raw.dropFirst(48)))
            $0.member("kid", keyID)
            $0.member("alg", Algorithm.es384.rawValue)
            $0.member("use", "sig")
        }
        json = String(decoding: writer.bytes, as: UTF8.self)
    }

    /// Reads the JSON of one key.
    package init(json text: String) throws(IdentityError) {
        try self.init(StrictDocument.parse(Array(text.utf8), code: .key).root)
    }

    /// Whether `signature` over `input` was made with this key.
    func verifies(_ signature: [UInt8], of input: [UInt8]) -> Bool {
        let digest = SHA384.hash(data: input)
        switch material {
        case .p384(let key):
            guard signature.count == 96, let signature = try? P384.Signing.ECDSASignature(rawRepresentation: signature)
            else { return false }
            return key.isValidSignature(signature, for: digest)
        case .rsa(let key):
            guard signature.count == (key.keySizeInBits + 7) / 8 else { return false }
            return key.isValidSignature(
                _RSA.Signing.RSASignature(rawRepresentation: signature), for: digest, padding: .insecurePKCS1v1_5)
        }
    }

    private static func bytes(_ node: JSONNode?) -> [UInt8]? {
        node?.string.flatMap { Base64URL.decode($0) }
    }
}

/// The keys of one client: 1 to 8, each `kid` once.
package struct JSONWebKeySet: Sendable {
    package let keys: [JSONWebKey]

    package init(_ keys: [JSONWebKey]) { self.keys = keys }

    /// Reads `{"keys": […]}` or a single key.
    ///
    /// - Throws: ``IdentityError/Code/key``.
    package init(json text: String) throws(IdentityError) {
        guard text.utf8.count <= 32_768 else { throw IdentityError(.key, "the key set is larger than 32 KiB") }
        let root = try StrictDocument.parse(Array(text.utf8), code: .key).root
        var keys: [JSONWebKey] = []
        if let list = root["keys"] {
            guard list.kind == .array else { throw IdentityError(.key, "keys must be an array") }
            for node in list.elements { keys.append(try JSONWebKey(node)) }
        } else {
            keys = [try JSONWebKey(root)]
        }
        guard (1...8).contains(keys.count) else { throw IdentityError(.key, "a key set must have 1 to 8 keys") }
        guard Set(keys.map(\.keyID)).count == keys.count else {
            throw IdentityError(.key, "two keys have the same kid")
        }
        self.keys = keys
    }

    package var json: String { "{\"keys\":[" + keys.map(\.json).joined(separator: ",") + "]}" }

    /// The one key with this `kid` that fits the algorithm.
    package func key(_ keyID: String, algorithm: JSONWebKey.Algorithm) throws(IdentityError) -> JSONWebKey {
        let found = keys.filter { $0.keyID == keyID }
        guard found.count == 1, let key = found.first else {
            throw IdentityError(.key, found.isEmpty ? "no registered key has this kid" : "two keys have this kid")
        }
        guard key.algorithm == algorithm else { throw IdentityError(.key, "alg does not fit the key") }
        return key
    }
}

/// Strict JSON as credentials need it: an object, no duplicate members, not deep.
enum StrictDocument {
    static func parse(_ bytes: [UInt8], code: IdentityError.Code) throws(IdentityError) -> JSONDocument {
        let document: JSONDocument
        do throws(JSONError) {
            document = try JSONDocument(bytes, limits: JSONLimits(maximumDepth: 12, maximumBytes: 65_536))
        } catch {
            throw IdentityError(code, "not strict JSON: \(error.code)")
        }
        guard document.root.kind == .object else { throw IdentityError(code, "not a JSON object") }
        return document
    }
}
