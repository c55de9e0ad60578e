import NIOCore
package import PostgresDriver

/// The controller's side of the control database: reads what is asked for. It connects as superuser; what it writes goes
/// through the operations and their leader's term.
package struct ControllerDatabase: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    private static let allStatement = PostgresStatement(
        """
        select id, name, time_zone, language, state, database, cell, error,
               to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), kind, labels::text, operation
        from control.tenant
        order by id
        """)

    /// Every tenant, by id.
    package func tenants() async throws(TenantRegistryError) -> [TenantRecord] {
        let result: PostgresResult
        do {
            result = try await pool.query(Self.allStatement, [], deadline: .now() + .seconds(10))
        } catch let error as PostgresError {
            throw TenantRegistryError(error)
        } catch {
            throw TenantRegistryError(.unavailable, "the control database does not answer")
        }
        var records: [TenantRecord] = []
        for row in result { records.append(try TenantRecord(row: row)) }
        return records
    }
}
