import CloudIdentity
package import CloudModel
import Coordination
import Crypto
import PostgresDriver
package import TenantRegistry

/// Clients, signing keys, used assertions and revocations in the control database, through its functions.
package struct ApplicationDatabase: Sendable {
    private let control: ControlDatabase

    package init(control: ControlDatabase) {
        self.control = control
    }

    /// The same, where what is made is noted with the request that made it.
    func asked(by request: RequestKey) -> ApplicationDatabase {
        ApplicationDatabase(control: control.asked(by: request))
    }

    // MARK: Clients

    private static let clientsStatement = PostgresStatement(
        """
        select id, name, kind, keys, key_set_url, scopes, origins, disabled, created_at, institution
        from control.clients($1, $2, $3)
        """)

    /// One client of a tenant or of the region (nil).
    func client(_ id: String, of tenant: TenantID?) async throws(TenantRegistryError) -> ClientRecord? {
        let realm = ControlDatabase.realm(tenant)
        let result = try await control.call(Self.clientsStatement, [.text(realm), .text(realm), .text(id)])
        return try result.first.map { (row: PostgresRow) throws(TenantRegistryError) in
            try ClientRecord(row: row, tenant: tenant)
        }
    }

    private static let pageStatement = PostgresStatement(
        """
        select id, name, kind, keys, key_set_url, scopes, origins, disabled, created_at, institution
        from control.clients($1, $2, null)
        where $3::text is null or id collate "C" > $3
        order by id collate "C"
        limit $4
        """)

    /// The clients of a tenant or of the region (nil), by id.
    ///
    /// - Parameter acting: who asks; nil is the region's operator.
    func clients(
        of tenant: TenantID?, _ page: PageRequest, acting: TenantID?
    ) async throws(TenantRegistryError) -> Page<ClientRecord> {
        let result = try await control.call(
            Self.pageStatement,
            [
                .text(ControlDatabase.realm(acting)), .text(ControlDatabase.realm(tenant)),
                page.after.map { .text($0[0]) } ?? .null, .int4(page.fetchLimit),
            ])
        var clients: [ClientRecord] = []
        for row in result { clients.append(try ClientRecord(row: row, tenant: tenant)) }
        return Page(clients, of: page) { [$0.id] }
    }

    private static let createStatement = PostgresStatement(
        "select control.create_client($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")

    func createClient(
        _ new: NewClient, in tenant: TenantID?, acting: TenantID?, actor: String
    ) async throws(TenantRegistryError) {
        _ = try await control.call(
            Self.createStatement,
            [
                .text(ControlDatabase.realm(acting)), .text(actor), .text(ControlDatabase.realm(tenant)),
                .text(new.id), .text(new.name), .text(new.kind.rawValue), .text(new.keys.json),
                new.keySetURL.map { .text($0) } ?? .null, .text(new.scopes.text), .textArray(new.origins),
                new.institution.map { .text($0.rawValue) } ?? .null,
            ])
    }

    private static let disableStatement = PostgresStatement("select control.disable_client($1, $2, $3, $4)")

    func disableClient(
        _ id: String, of tenant: TenantID?, acting: TenantID?, actor: String
    ) async throws(TenantRegistryError) {
        _ = try await control.call(
            Self.disableStatement,
            [
                .text(ControlDatabase.realm(acting)), .text(actor), .text(ControlDatabase.realm(tenant)), .text(id),
            ])
    }

    private static let originsStatement = PostgresStatement("select origin from control.origins($1)")

    /// The origins of browser applications that a tenant's clients have registered: for CORS.
    package func origins(of tenant: TenantID) async throws(TenantRegistryError) -> Set<String> {
        let result = try await control.call(Self.originsStatement, [.text(tenant.rawValue)])
        do throws(PostgresError) {
            var origins: Set<String> = []
            for row in result { origins.insert(try row.string(0)) }
            return origins
        } catch {
            throw TenantRegistryError(error)
        }
    }

    // MARK: Assertions and tokens

    /// What became of an assertion that was shown.
    enum AssertionOutcome: String {
        case accepted
        case replayed
        case disabled
        case unknown
    }

    private static let useStatement = PostgresStatement("select control.use_assertion($1, $2, $3, $4)")

    /// Uses the assertion up, durably and for every worker.
    func use(_ assertion: ClientAssertion, in tenant: TenantID?) async throws(TenantRegistryError) -> AssertionOutcome {
        let digest = Array(SHA256.hash(data: Array(assertion.tokenID.utf8)))
        let result = try await control.call(
            Self.useStatement,
            [
                .text(ControlDatabase.realm(tenant)), .text(assertion.clientID), .bytes(digest),
                // Kept for the leeway too, within which an expired assertion is still looked at.
                .int8(assertion.expiresAt + 2 * ClientAssertion.leeway),
            ])
        guard let word = try? result.first?.string(0), let outcome = AssertionOutcome(rawValue: word) else {
            throw TenantRegistryError(.failed, "the control database is of another version")
        }
        return outcome
    }

    private static let revokeStatement = PostgresStatement("select control.revoke_token($1, $2, $3, $4, $5, $6)")

    /// Ends an access token; every worker knows within a second.
    func revoke(_ token: Principal, acting: TenantID?, actor: String) async throws(TenantRegistryError) {
        _ = try await control.call(
            Self.revokeStatement,
            [
                .text(ControlDatabase.realm(acting)), .text(actor), .text(ControlDatabase.realm(token.tenant)),
                .text(token.clientID), .text(token.tokenID), .int8(token.expiresAt),
            ])
    }

    // MARK: Signing keys

    /// A signing key as it is stored.
    struct StoredKey {
        let keyID: String
        let publicKey: String
        let sealed: [UInt8]
        let isActive: Bool
        /// How long ago it was made.
        let age: Duration
    }

    private static let keysStatement = PostgresStatement(
        "select kid, public_key, sealed, active, seconds from control.signing_keys($1)")

    /// Newest first; none when the tenant does not serve.
    func signingKeys(of tenant: TenantID?) async throws(TenantRegistryError) -> [StoredKey] {
        let result = try await control.call(Self.keysStatement, [.text(ControlDatabase.realm(tenant))])
        do throws(PostgresError) {
            var keys: [StoredKey] = []
            for row in result {
                keys.append(
                    StoredKey(
                        keyID: try row.string(0), publicKey: try row.string(1), sealed: try row.bytes(2),
                        isActive: try row.bool(3), age: .seconds(try row.float8(4))))
            }
            return keys
        } catch {
            throw TenantRegistryError(error)
        }
    }

    private static let addKeyStatement = PostgresStatement("select control.add_signing_key($1, $2, $3, $4)")

    /// Gives the realm its first key; does nothing when it has one.
    ///
    /// - Throws: `unknown-tenant` when the tenant does not serve.
    func addSigningKey(
        _ key: JSONWebKey, sealed: [UInt8], to tenant: TenantID?
    ) async throws(TenantRegistryError) {
        _ = try await control.call(
            Self.addKeyStatement,
            [.text(ControlDatabase.realm(tenant)), .text(key.keyID), .text(key.json), .bytes(sealed)])
    }

    private static let rotateKeyStatement = PostgresStatement("select control.rotate_signing_key($1, $2, $3, $4, $5)")

    /// Puts a key in the place of `old`; does nothing when another has done so.
    ///
    /// - Throws: `unknown-tenant` when the tenant does not serve.
    func rotateSigningKey(
        _ old: String, to key: JSONWebKey, sealed: [UInt8], of tenant: TenantID?
    ) async throws(TenantRegistryError) {
        _ = try await control.call(
            Self.rotateKeyStatement,
            [
                .text(ControlDatabase.realm(tenant)), .text(old), .text(key.keyID), .text(key.json), .bytes(sealed),
            ])
    }
}

extension ClientRecord {
    /// One row of `control.clients`.
    init(row: PostgresRow, tenant: TenantID?) throws(TenantRegistryError) {
        do {
            guard let kind = Principal.Kind(rawValue: try row.string(2)) else {
                throw TenantRegistryError(.failed, "the control database is of a newer version")
            }
            self.init(
                id: try row.string(0), tenant: tenant,
                institution: try row.optionalString(9).flatMap { TenantID($0) }, name: try row.string(1), kind: kind,
                keys: try JSONWebKeySet(json: try row.string(3)), keySetURL: try row.optionalString(4),
                scopes: try ScopeSet(parsing: try row.string(5)),
                origins: try row.textArray(6).compactMap(\.self), isDisabled: try row.bool(7),
                createdAt: try row.string(8))
        } catch let error as PostgresError {
            throw TenantRegistryError(error)
        } catch {
            throw TenantRegistryError(.failed, "a client's row cannot be read")
        }
    }
}
