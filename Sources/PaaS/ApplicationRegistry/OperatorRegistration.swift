import CloudIdentity
package import PostgresDriver
import TenantRegistry

/// Makes the region's operator known; the controller does it at every start.
package enum OperatorRegistration {
    /// `client_id` of the operator.
    package static let clientID = "operator"

    private static let statement = PostgresStatement(
        """
        insert into control.client (id, name, kind, keys, scopes, created_by)
        values ($1, 'Operator', 'operator', $2, 'system/*.cruds', 'controller')
        on conflict (realm, id) do update set keys = excluded.keys, disabled_at = null
        where control.client.keys is distinct from excluded.keys or control.client.disabled_at is not null
        """)

    private static let purge = PostgresStatement("delete from control.assertion where expires_at < now()")

    /// Registers the key of `operator.jwk.json` in place of the one before.
    ///
    /// - Parameter connection: a superuser's, in the control database.
    /// - Throws: `invalid-value` when the file is not a public key.
    package static func register(publicKey json: String, on connection: PostgresConnection) async throws {
        let keys: JSONWebKeySet
        do throws(IdentityError) {
            keys = try JSONWebKeySet(json: json)
        } catch {
            throw TenantRegistryError(.invalidValue, "operator.jwk.json: \(error.reason)")
        }
        try await connection.query(statement, [.text(clientID), .text(keys.json)])
    }

    /// Removes assertions that have expired; they could not be used again anyway.
    package static func purgeAssertions(on connection: PostgresConnection) async throws {
        try await connection.query(purge)
    }
}
