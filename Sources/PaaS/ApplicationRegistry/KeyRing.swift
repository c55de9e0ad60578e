package import CloudIdentity
package import CloudModel
import Synchronization
package import TenantRegistry

/// The signing keys of the region and its tenants, unsealed and remembered by this process.
package final class KeyRing: VerificationKeySource {
    /// Milliseconds within which another unknown key makes no second question to the control database.
    private static let patience: Int64 = 1_000
    /// A key that is older signs no more: another is made.
    package static let lifetime: Duration = .seconds(90 * 86_400)
    /// Milliseconds after which the keys are looked at again before one of them signs. A key that another worker has replaced
    /// signs here for no longer, and its tokens end before the key is forgotten.
    private static let freshness: Int64 = 60_000
    /// Realms remembered; beyond it everything is forgotten once.
    private static let capacity = 1_024

    private struct Realm: Sendable {
        let keys: [JSONWebKey]
        /// Nil when the realm has none yet or does not serve.
        let signing: SigningKey?
        /// How old that key was when it was loaded.
        let age: Duration
        let loadedAt: Int64
        /// When a key was last looked for in vain.
        var missedAt: Int64?
    }

    private let database: ApplicationDatabase
    private let key: RegionKey
    private let clock: IdentityClock
    private let realms = Mutex<[TenantID?: Realm]>([:])

    package init(database: ApplicationDatabase, key: RegionKey, clock: IdentityClock = .system) {
        self.database = database
        self.key = key
        self.clock = clock
    }

    package func verificationKey(_ keyID: String, of tenant: TenantID?) async throws(IdentityError) -> JSONWebKey {
        if let realm = known(tenant) {
            if let key = realm.keys.first(where: { $0.keyID == keyID }) { return key }
            guard realm.missedAt.map({ clock.uptime() - $0 > Self.patience }) ?? true else {
                throw IdentityError(.key, "no key of the issuer has this kid")
            }
        }
        let realm: Realm
        do throws(TenantRegistryError) {
            realm = try await load(tenant)
        } catch {
            throw IdentityError(.unavailable, "the issuer's keys cannot be loaded: \(error.code)")
        }
        guard let key = realm.keys.first(where: { $0.keyID == keyID }) else {
            realms.withLock { $0[tenant]?.missedAt = clock.uptime() }
            throw IdentityError(.key, "no key of the issuer has this kid")
        }
        return key
    }

    /// The key that signs tokens of a tenant or of the region (nil), made when there is none yet, and another when it is old.
    ///
    /// - Throws: `unknown-tenant` when the tenant does not serve.
    func signingKey(of tenant: TenantID?) async throws(TenantRegistryError) -> SigningKey {
        let known = known(tenant)
        if let known, let signing = known.signing, clock.uptime() - known.loadedAt < Self.freshness { return signing }
        let present: Realm
        do throws(TenantRegistryError) {
            present = try await load(tenant)
        } catch let error where error.code == .unavailable {
            // What is known is good as long as nobody can replace it.
            guard let signing = known?.signing else { throw error }
            return signing
        }
        if let signing = present.signing, present.age < Self.lifetime { return signing }
        let new = SigningKey.generate()
        let sealed = try key.seal(new.secretBytes, context: Self.context(tenant, new.keyID))
        if let old = present.signing {
            try await database.rotateSigningKey(old.keyID, to: new.publicKey, sealed: sealed, of: tenant)
        } else {
            try await database.addSigningKey(new.publicKey, sealed: sealed, to: tenant)
        }
        guard let signing = try await load(tenant).signing else {
            throw TenantRegistryError(.unknownTenant, "no such tenant")
        }
        return signing
    }

    /// The public keys, for the JWKS document.
    ///
    /// - Throws: `unknown-tenant` when the tenant does not serve.
    func publicKeys(of tenant: TenantID?) async throws(TenantRegistryError) -> [JSONWebKey] {
        _ = try await signingKey(of: tenant)
        return known(tenant)?.keys ?? []
    }

    /// Forgets a tenant's keys because the tenant goes away.
    package func forget(_ tenant: TenantID?) {
        realms.withLock { $0[tenant] = nil }
    }

    private func known(_ tenant: TenantID?) -> Realm? {
        realms.withLock { $0[tenant] }
    }

    private func load(_ tenant: TenantID?) async throws(TenantRegistryError) -> Realm {
        let stored = try await database.signingKeys(of: tenant)
        var keys: [JSONWebKey] = []
        var signing: SigningKey?
        var age: Duration = .zero
        for row in stored {
            do throws(IdentityError) {
                keys.append(try JSONWebKey(json: row.publicKey))
                guard row.isActive, signing == nil else { continue }
                signing = try SigningKey(
                    keyID: row.keyID, secretBytes: try unseal(row, of: tenant))
                age = row.age
            } catch {
                throw TenantRegistryError(.badKey, "a signing key cannot be read")
            }
        }
        let realm = Realm(keys: keys, signing: signing, age: age, loadedAt: clock.uptime())
        realms.withLock { realms in
            if realms.count >= Self.capacity { realms.removeAll() }
            realms[tenant] = realm
        }
        return realm
    }

    private func unseal(_ row: ApplicationDatabase.StoredKey, of tenant: TenantID?) throws(IdentityError) -> [UInt8] {
        do throws(TenantRegistryError) {
            return try key.open(row.sealed, context: Self.context(tenant, row.keyID))
        } catch {
            throw IdentityError(.key, error.message)
        }
    }

    private static func context(_ tenant: TenantID?, _ keyID: String) -> String {
        "signing-key:\(ControlDatabase.realm(tenant)):\(keyID)"
    }
}
