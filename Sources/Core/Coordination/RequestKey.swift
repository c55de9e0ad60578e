package import NIOCore
package import PostgresDriver

/// A write of the platform API by its Idempotency-Key.
///
/// What the write begins is noted with the key in the transaction that begins it (`control.note_request`), so that the same
/// request finds it whatever died in between.
package struct RequestKey: Sendable, Hashable {
    /// The caller's tenant, or `region`.
    package let realm: String
    /// The caller's client id.
    package let actor: String
    /// Method and path.
    package let operation: String
    package let key: String

    package init(realm: String, actor: String, operation: String, key: String) {
        self.realm = realm
        self.actor = actor
        self.operation = operation
        self.key = key
    }

    fileprivate static let announce = PostgresStatement(
        "select set_config('control.request', json_build_array($1::text, $2::text, $3::text, $4::text)::text, true)")

    fileprivate var values: [PostgresValue] { [.text(realm), .text(actor), .text(operation), .text(key)] }
}

extension PostgresPool {
    /// Runs one statement in its own transaction; with a request, the control database notes there what that has begun.
    package func query(
        _ statement: PostgresStatement, _ values: [PostgresValue], for request: RequestKey?, deadline: NIODeadline
    ) async throws -> PostgresResult {
        guard let request else { return try await query(statement, values, deadline: deadline) }
        return try await withTransaction(deadline: deadline) { connection in
            try await connection.query(RequestKey.announce, request.values)
            return try await connection.query(statement, values)
        }
    }
}
