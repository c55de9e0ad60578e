import Crypto
import FoundationEssentials

/// The region's one secret: 32 random bytes from which database passwords are derived and with which signing keys are
/// sealed. Gateway and controller each hold a copy in their own secrets directory.
package struct RegionKey: Sendable {
    private let key: SymmetricKey
    private let sealing: SymmetricKey

    /// - Throws: ``TenantRegistryError/Code/badKey`` unless there are exactly 32 bytes.
    package init(bytes: [UInt8]) throws(TenantRegistryError) {
        guard bytes.count == 32 else {
            throw TenantRegistryError(.badKey, "region.key must have 32 bytes, it has \(bytes.count)")
        }
        key = SymmetricKey(data: bytes)
        sealing = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: key, info: Array("medcloud sealing 1".utf8), outputByteCount: 32)
    }

    /// Reads `region.key` of a secrets directory (``RegionState/gatewaySecrets``, ``RegionState/controllerSecrets``).
    package static func load(secrets directory: String) throws(TenantRegistryError) -> RegionKey {
        guard let data = FileManager.default.contents(atPath: directory + "/region.key") else {
            throw TenantRegistryError(.badKey, "region.key cannot be read from the secrets directory")
        }
        return try RegionKey(bytes: Array(data))
    }

    /// The password of a Postgres login role: lower-case hex of HMAC-SHA256(key, "postgres:" + role). Never stored.
    package func password(role: String) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: Array("postgres:\(role)".utf8), using: key)
        let digits = Array("0123456789abcdef".utf8)
        var hex: [UInt8] = []
        hex.reserveCapacity(64)
        for byte in code {
            hex.append(digits[Int(byte >> 4)])
            hex.append(digits[Int(byte & 15)])
        }
        return String(decoding: hex, as: UTF8.self)
    }

    /// 32 bytes for another use (cursor signatures, …), independent for each `purpose`.
    package func derived(purpose: String) -> [UInt8] {
        let derived = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: key, info: Array("medcloud derived 1 \(purpose)".utf8), outputByteCount: 32)
        return derived.withUnsafeBytes { Array($0) }
    }

    /// Encrypts a secret for storage (AES-256-GCM; nonce, ciphertext and tag in one). `context` must be given again to open
    /// it, so a sealed value cannot be moved to another row.
    package func seal(_ secret: [UInt8], context: String) throws(TenantRegistryError) -> [UInt8] {
        do {
            let box = try AES.GCM.seal(secret, using: sealing, authenticating: Array(context.utf8))
            guard let combined = box.combined else {
                throw TenantRegistryError(.badKey, "a secret could not be sealed")
            }
            return Array(combined)
        } catch {
            throw TenantRegistryError(.badKey, "a secret could not be sealed")
        }
    }

    /// - Throws: ``TenantRegistryError/Code/badKey`` when the bytes were sealed with another key or context, or changed.
    package func open(_ sealed: [UInt8], context: String) throws(TenantRegistryError) -> [UInt8] {
        do {
            let box = try AES.GCM.SealedBox(combined: sealed)
            return Array(try AES.GCM.open(box, using: sealing, authenticating: Array(context.utf8)))
        } catch {
            throw TenantRegistryError(.badKey, "a sealed secret does not open with this region's key")
        }
    }
}
